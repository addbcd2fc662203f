import { asNexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import { type Config, routeOf } from "../config.ts";
import { command, print, printJson } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { type Opened, openAgent } from "./open.ts";

type Route = { id: ContainerId; runtime: string | null; why: string };

export const route = command({
  command: "route [id]",
  describe: "Print which runtime a container has, or would get by its name, and why",
  builder: (yargs) =>
    withId(yargs).option("quiet", {
      alias: "q",
      type: "boolean",
      default: false,
      describe: "the runtime's name alone; crun where any would do",
    }),
  async handler({ id, name, quiet, ...globals }) {
    const containerId = idOf({ id, name }, "route");
    await using opened = await openAgent(globals);
    const found = (await existing(containerId, opened)) ?? wanted(containerId, opened.config);
    if (quiet) print(found.runtime ?? "crun");
    else if (globals.output === "json") printJson(found);
    else print(`${found.runtime ?? "any"}: ${found.why}`);
  },
});

async function existing(id: ContainerId, { runtime, signal }: Opened): Promise<Route | undefined> {
  try {
    const { backend } = await runtime.state(id, { signal });
    return { id, runtime: backend, why: "the container is there" };
  } catch (error) {
    if (asNexcageError(error).code === "CONTAINER_NOT_FOUND") return undefined;
    throw error;
  }
}

/** What `create` would take where its command line does not say it. */
function wanted(id: ContainerId, config: Config | undefined): Route {
  const found = routeOf(id, config);
  if (found !== undefined) return { id, runtime: found.runtime, why: `${config?.file}: ${found.by}` };
  return { id, runtime: null, why: "no configuration says it: crun for a bundle, lxc for an image" };
}
