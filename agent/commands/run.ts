import type { ContainerId } from "../../shared/ids.ts";
import type { Globals } from "./command.ts";
import { change, command } from "./command.ts";
import { idOf } from "./container-id.ts";
import { printLines } from "./logs.ts";
import { specOf, withContainer } from "./new-container.ts";
import { refuseOciOptions, withOciCreate } from "./oci-options.ts";
import { openAgent } from "./open.ts";

export const run = command({
  command: "run [id]",
  describe: "Create a container and start it; one of a bundle is waited for, and then deleted",
  builder: (yargs) =>
    withOciCreate(withContainer(yargs))
      .option("detach", {
        alias: "d",
        type: "boolean",
        default: false,
        describe: "do not wait, and keep it; a template's is never waited for",
      })
      .option("keep", { type: "boolean", describe: "keep it when it has ended" })
      .epilogue("The exit status is that of the container where it was waited for."),
  async handler({ id, name, bundle, image, runtime, detach, ...globals }) {
    refuseOciOptions(globals, "run");
    const containerId = idOf({ id, name }, "run");
    const made = await change(globals, ({ runtime: api, config }, options) =>
      api.create(specOf(containerId, { bundle, image, runtime }, config), { ...options, start: true }),
    );
    if (detach || made.container?.backend === "lxc") return;
    process.exitCode = await watchToItsEnd(containerId, globals);
  },
});

/** Prints what it writes, and removes it when it has ended, or when we are asked to end; gives its exit code. */
async function watchToItsEnd(id: ContainerId, globals: Globals): Promise<number> {
  await using opened = await openAgent(globals);
  const { runtime, signal } = opened;
  for await (const lines of runtime.logs(id, { follow: true }, { signal })) printLines(lines, globals);
  const { exit } = await runtime.state(id, { signal });
  await change(globals, ({ runtime: api }, options) => api.delete(id, { ...options, force: true }));
  signal.throwIfAborted();
  return exit?.exitCode ?? (exit?.signal === undefined ? 1 : 128 + exit.signal);
}
