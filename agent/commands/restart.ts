import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { gracePeriodOf, withGracePeriod } from "./grace-period.ts";

export const restart = command({
  command: "restart [id]",
  describe: "Stop a container as stop does, and start it",
  builder: (yargs) => withGracePeriod(withId(yargs)),
  async handler({ id, name, gracePeriod, ...globals }) {
    const containerId = idOf({ id, name }, "restart");
    const gracePeriodMs = gracePeriodOf(gracePeriod);
    await change(globals, ({ runtime }, options) =>
      runtime.restart(containerId, { ...options, gracePeriodMs }),
    );
  },
});
