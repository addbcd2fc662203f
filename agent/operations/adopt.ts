import type { Change } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import { type ContainerSpec, specDigest } from "../../shared/spec.ts";
import { requireBackend } from "../backends/router.ts";
import type { ChangeOptions } from "../runtime.ts";
import { operate } from "./operate.ts";
import type { Parts } from "./parts.ts";

/** Makes a guest that others have made a container of ours, as it is. */
export function adoptContainer(
  parts: Parts,
  spec: ContainerSpec,
  options: ChangeOptions & { vmid: number },
): Promise<Change> {
  const { id } = spec;
  const { vmid, fleet, operationId } = options;
  return operate(parts, { kind: "adopt", id }, options, async (attempt) => {
    const { inspector, backends, records, now } = parts;
    const backend = requireBackend(backends, spec.runtime);
    const there = await inspector.find(id);
    if (there?.state.annotations?.["io.nexcage.vmid"] === String(vmid) && there.fleet === fleet)
      return { changed: false, container: there };
    if (there !== undefined)
      throw new NexcageError("CONTAINER_EXISTS", `container ${id} already exists, and is not guest ${vmid}`, {
        hint: "give the guest another name in the fleet",
      });
    if (backend.adopt === undefined)
      throw new NexcageError("SPEC_REFUSED", `${backend.name} adopts no containers`);
    await attempt.begin();
    await attempt.step("adopting");
    await backend.adopt(vmid, spec, { fleet });
    await attempt.step("recording");
    await records.write({
      ...{ id, backend: backend.name, spec, digest: specDigest(spec), createdAt: now().toISOString() },
      ...{ operationId, ...(fleet !== undefined && { fleet }) },
    });
    attempt.stands();
    return { changed: true, container: await inspector.settled(id) };
  });
}
