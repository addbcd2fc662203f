import type { Observed } from "../shared/container.ts";
import { NexcageError } from "../shared/errors.ts";
import { type ContainerId, OperationId } from "../shared/ids.ts";
import type { ContainerSpec } from "../shared/spec.ts";
import type { Backend, Live } from "./backends/backend.ts";
import { requireBackend } from "./backends/router.ts";
import type { Log } from "./log.ts";
import { foreignOf, observedOf } from "./observe.ts";
import type { Paths } from "./paths.ts";
import type { LockFile } from "./state/lock.ts";
import { noteUnrepeatable } from "./state/readings.ts";
import type { ContainerRecord, Records } from "./state/records.ts";
import { openStateFiles } from "./state/state-file.ts";

/**
 * What there is, looked at and told in one form. Looking heals: a state file that differs from the living
 * container is written again, a container whose monitor was killed gets a reader of its output, and one that
 * has come from another host gets its record.
 */
export type Inspector = {
  find(id: ContainerId): Promise<Observed | undefined>;
  /** @throws {NexcageError} `CONTAINER_NOT_FOUND` */
  require(id: ContainerId): Promise<Observed>;
  /** Sorted by id. A record that cannot be read is logged, and does not hide the others. */
  list(): Promise<Observed[]>;
  /** As `require`, for who holds the container's lock: the state file says the same when it returns. */
  settled(id: ContainerId): Promise<Observed>;
  /** Removes the state file, and the folder that it is in. */
  forget(id: ContainerId): void;
};

export type InspectorOptions = {
  paths: Paths;
  records: Records;
  backends: Backend[];
  lockFile: LockFile;
  now: () => Date;
  newId: () => string;
  /** Whether an operation on it is under way, or was cut off: what it is then is not settled yet. */
  isUnfinished: (id: ContainerId) => boolean;
  log: Log;
};

type Found = { backend: Backend; record: ContainerRecord | undefined; live: Live | undefined };
type Look = { observed: Observed; live: Live | undefined; rebuilt: ContainerRecord | undefined };

export function openInspector(options: InspectorOptions): Inspector {
  const { paths, records, backends, lockFile, log } = options;
  const stateFiles = openStateFiles(paths);
  const bundleOf = ({ id, source }: ContainerSpec): string =>
    source.kind === "bundle" ? source.path : paths.bundle(id);

  async function look(id: ContainerId): Promise<Look | undefined> {
    const record = records.read(id);
    for (const backend of record === undefined ? backends : [requireBackend(backends, record.backend)]) {
      const live = await backend.observe(id);
      if (live !== undefined || record !== undefined) return lookAt(id, { backend, record, live });
    }
    return undefined;
  }

  /** Undefined for what its backend would know of, were it still there. */
  function lookAt(id: ContainerId, found: Found): Look | undefined {
    const { backend, live } = found;
    if (live === undefined && backend.untraced === "gone") return undefined;
    const rebuilt = rebuild(id, found);
    const record = rebuilt ?? found.record;
    if (record !== undefined)
      return { observed: observedOf(record, live, bundleOf(record.spec)), live, rebuilt };
    return live && { observed: foreignOf(id, backend.name, live), live, rebuilt };
  }

  /** The record of what was made, or changed, by an agent on another host; undefined where ours is right. */
  function rebuild(id: ContainerId, { backend, record, live }: Found): ContainerRecord | undefined {
    const kept = live?.kept;
    if (kept === undefined || kept.digest === record?.digest || options.isUnfinished(id)) return undefined;
    const createdAt = options.now().toISOString();
    const operationId = OperationId.parse(`rebuilt-${options.newId()}`);
    return { createdAt, ...record, ...kept, id, backend: backend.name, operationId };
  }

  async function writeState({ id, state }: Observed): Promise<void> {
    if (stateFiles.says(id, state)) return;
    // A full or read-only /run must not hide what was seen.
    await stateFiles
      .write(id, state)
      .catch((err: unknown) => log.warn({ err, containerId: id }, "could not write the state file"));
  }

  async function writeRecord({ rebuilt }: Look): Promise<void> {
    if (rebuilt === undefined) return;
    log.info(
      { containerId: rebuilt.id, fleet: rebuilt.fleet },
      "came from another host: its record is written",
    );
    await records.write(rebuilt);
  }

  /** Only who holds the lock may write; who finds it taken leaves it to who has it. */
  async function heal(id: ContainerId): Promise<void> {
    const signal = AbortSignal.timeout(5_000);
    await using lock = await lockFile(paths.containerLock(id), { wait: false, signal });
    const found = lock === undefined ? undefined : await look(id);
    if (found === undefined) return;
    const { observed, live } = found;
    await writeRecord(found);
    if (live?.unwatched === true) {
      log.warn(
        { containerId: id },
        "its monitor was killed: its exit code is lost, its output has a reader again",
      );
      await requireBackend(backends, observed.backend).watch(id);
    }
    if (live?.hasLongLog === true) await requireBackend(backends, observed.backend).trimLog?.(id);
    if (observed.spec !== undefined) await writeState(observed);
  }

  /** Looking succeeds also where healing cannot, such as for a user who may only read. */
  async function healIfNeeded({ observed, live, rebuilt }: Look): Promise<void> {
    const { id, spec, state } = observed;
    const isTold = spec === undefined || stateFiles.says(id, state);
    const isKept = live?.unwatched !== true && live?.hasLongLog !== true;
    if (isTold && isKept && rebuilt === undefined) return;
    noteUnrepeatable(); // the next look tries it again
    await heal(id).catch((err: unknown) => log.debug({ err, containerId: id }, "could not heal"));
  }

  async function find(id: ContainerId): Promise<Observed | undefined> {
    const found = await look(id);
    if (found !== undefined) await healIfNeeded(found);
    return found?.observed;
  }

  async function observeAll(): Promise<Map<ContainerId, { backend: Backend; live: Live }>> {
    const all = new Map<ContainerId, { backend: Backend; live: Live }>();
    for (const backend of backends)
      for (const [id, live] of await backend.observeAll()) all.set(id, { backend, live });
    return all;
  }

  return {
    find,
    async require(id) {
      const found = await find(id);
      if (found === undefined) throw notFound(id);
      return found;
    },
    async list() {
      const { records: known, broken } = records.list();
      if (broken.length > 0) noteUnrepeatable(); // each look tells of them
      for (const err of broken) log.error({ err, hint: err.hint }, "a container's record cannot be read");
      const all = await observeAll();
      const looks: (Look | undefined)[] = [];
      for (const record of known) {
        const backend = requireBackend(backends, record.backend);
        const live = all.get(record.id)?.live ?? (await backend.observe(record.id));
        looks.push(lookAt(record.id, { backend, record, live }));
        all.delete(record.id);
      }
      for (const [id, { backend, live }] of all) looks.push(lookAt(id, { backend, record: undefined, live }));
      const found = looks.filter((look) => look !== undefined);
      for (const look of found) await healIfNeeded(look);
      return found.map(({ observed }) => observed).sort((a, b) => (a.id < b.id ? -1 : 1));
    },
    async settled(id) {
      const found = await look(id);
      if (found === undefined) throw notFound(id);
      await writeRecord(found);
      if (found.observed.spec !== undefined) await writeState(found.observed);
      return found.observed;
    },
    forget: (id) => stateFiles.remove(id),
  };
}

function notFound(id: ContainerId): NexcageError {
  return new NexcageError("CONTAINER_NOT_FOUND", `container ${id} does not exist`, {
    hint: "to see what does: nexcage-agent list",
  });
}
