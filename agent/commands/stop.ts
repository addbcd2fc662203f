import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { gracePeriodOf, withGracePeriod } from "./grace-period.ts";

export const stop = command({
  command: "stop [id]",
  describe: "Stop a container: its stop signal, and SIGKILL when its grace period is over",
  builder: (yargs) => withGracePeriod(withId(yargs)),
  async handler({ id, name, gracePeriod, ...globals }) {
    const containerId = idOf({ id, name }, "stop");
    const gracePeriodMs = gracePeriodOf(gracePeriod);
    await change(globals, ({ runtime }, options) => runtime.stop(containerId, { ...options, gracePeriodMs }));
  },
});
