import type { ContainerId } from "../../shared/ids.ts";
import type { Parts } from "./parts.ts";

/** All of a container. Its record goes last: what is cut off here is still seen, and finished. */
export async function removeAll(
  { backends, inspector, records }: Parts,
  id: ContainerId,
  step: (name: string) => Promise<void> = async () => {},
): Promise<void> {
  for (const backend of backends) await backend.delete(id);
  inspector.forget(id);
  await step("forgetting");
  await records.remove(id);
}
