import { NexcageError } from "../../shared/errors.ts";
import { quoteForMessage } from "../../shared/ids.ts";
import { parseDuration } from "../../shared/units.ts";
import { change, command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";

export const stop = command({
  command: "stop [id]",
  describe: "Stop a container: its stop signal, and SIGKILL when its grace period is over",
  builder: (yargs) =>
    withId(yargs).option("grace-period", {
      type: "string",
      requiresArg: true,
      describe: "instead of the container's own, such as 10s",
    }),
  async handler({ id, name, gracePeriod, ...globals }) {
    const containerId = idOf({ id, name }, "stop");
    const gracePeriodMs = gracePeriod === undefined ? undefined : parseGracePeriod(gracePeriod);
    await change(globals, ({ runtime }, options) => runtime.stop(containerId, { ...options, gracePeriodMs }));
  },
});

function parseGracePeriod(text: string): number {
  const periodMs = parseDuration(text);
  if (periodMs !== undefined) return periodMs;
  throw new NexcageError("USAGE", `--grace-period ${quoteForMessage(text)} is not a duration`, {
    hint: "such as 10s, or 0s for SIGKILL at once",
  });
}
