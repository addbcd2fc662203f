import type { Observed } from "../shared/container.ts";
import { asNexcageError } from "../shared/errors.ts";
import type { OpenFleet } from "./fleet.ts";

/** What is on each host. One that does not answer is dropped from the fleet, and fails alone. */
export async function listContainers(
  opened: OpenFleet,
  { signal }: { signal: AbortSignal },
): Promise<Map<string, Observed[]>> {
  const observed = new Map<string, Observed[]>();
  await Promise.all(
    [...opened.agents].map(async ([name, agent]) => {
      try {
        observed.set(name, (await agent.request("container/list", {}, { signal })).containers);
      } catch (cause) {
        signal.throwIfAborted();
        await opened.drop(name, asNexcageError(cause));
      }
    }),
  );
  return observed;
}
