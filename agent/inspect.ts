import type { Logger } from "pino";
import type { Observed } from "../shared/container.ts";
import { NexcageError } from "../shared/errors.ts";
import type { ContainerId } from "../shared/ids.ts";
import type { OciState } from "../shared/oci.ts";
import type { Backend, Live } from "./backends/backend.ts";
import { foreignOf, knownProcess, observedOf, stateOf } from "./observe.ts";
import type { Paths } from "./paths.ts";
import type { ContainerRecord, Records } from "./state/records.ts";
import { openStateFiles } from "./state/state-file.ts";

/**
 * What there is, looked at and told in one form. Looking heals the state file where it differs from the
 * living container.
 */
export type Inspector = {
  readonly records: Records;
  find(id: ContainerId): Promise<Observed | undefined>;
  /** @throws {NexcageError} `CONTAINER_NOT_FOUND` */
  require(id: ContainerId): Promise<Observed>;
  /** @throws {NexcageError} `CONTAINER_NOT_FOUND`, also where there is a container and no record of ours */
  requireRecord(id: ContainerId): Promise<ContainerRecord>;
  /** Looks at what was started just now. */
  started(record: ContainerRecord): Promise<Observed>;
  /** Sorted by id. */
  list(): Promise<Observed[]>;
  /** Removes the record and the state file. */
  forget(id: ContainerId): Promise<void>;
};

export function openInspector(options: {
  paths: Paths;
  records: Records;
  backends: Backend[];
  log: Logger;
  now: () => Date;
}): Inspector {
  const { paths, records, backends, log, now } = options;
  const stateFiles = openStateFiles(paths);

  async function observe(record: ContainerRecord, startedAt?: string): Promise<Observed> {
    const backend = backends.find(({ name }) => name === record.backend);
    const before = await stateFiles.read(record.id);
    const live = await backend?.observe(record.id, knownProcess(before));
    const state = stateOf({
      record,
      live,
      bundle: backend?.bundle(record.spec) ?? paths.bundle(record.id),
      before,
      startedAt,
    });
    await heal(record.id, before, state);
    return observedOf(record, state, live);
  }

  async function heal(id: ContainerId, before: OciState | undefined, state: OciState): Promise<void> {
    if (JSON.stringify(before) === JSON.stringify(state)) return;
    if (before !== undefined && before.status !== state.status)
      log.info({ containerId: id, was: before.status, is: state.status }, "container state changed");
    // A full or read-only /run must not hide what was observed.
    await stateFiles
      .write(id, state)
      .catch((err: unknown) => log.warn({ err, containerId: id }, "could not write the state file"));
  }

  /** What a backend has under a name that has no record. */
  async function findForeign(id: ContainerId): Promise<Observed | undefined> {
    for (const backend of backends) {
      const live: Live | undefined = await backend.observe(id, undefined);
      if (live !== undefined) return foreignOf(id, backend.name, live);
    }
    return undefined;
  }

  async function find(id: ContainerId): Promise<Observed | undefined> {
    const record = await records.read(id);
    return record === undefined ? await findForeign(id) : await observe(record);
  }

  function notFound(id: ContainerId): NexcageError {
    return new NexcageError("CONTAINER_NOT_FOUND", `container ${id} does not exist`, {
      hint: "to see what does: nexcage-agent list",
    });
  }

  return {
    records,
    find,
    async require(id) {
      const found = await find(id);
      if (found === undefined) throw notFound(id);
      return found;
    },
    async requireRecord(id) {
      const record = await records.read(id);
      if (record === undefined) throw notFound(id);
      return record;
    },
    started: (record) => observe(record, now().toISOString()),
    async list() {
      const { records: known, broken } = await records.list();
      for (const error of broken) log.error({ err: error }, "a container's record cannot be read");
      const observed = await Promise.all(known.map((record) => observe(record)));
      const ids = new Set<string>(known.map(({ id }) => id));
      const others = (await Promise.all(backends.map((backend) => backend.ids()))).flat();
      const foreign = await Promise.all(others.filter((id) => !ids.has(id)).map(findForeign));
      return [...observed, ...foreign.filter((one) => one !== undefined)].sort((a, b) =>
        a.id < b.id ? -1 : 1,
      );
    },
    async forget(id) {
      await records.remove(id);
      await stateFiles.remove(id);
    },
  };
}
