import type { Observed } from "../shared/container.ts";
import { NexcageError } from "../shared/errors.ts";
import type { ContainerId } from "../shared/ids.ts";
import type { ContainerSpec } from "../shared/spec.ts";
import type { Backend, Live } from "./backends/backend.ts";
import { requireBackend } from "./backends/router.ts";
import type { Log } from "./log.ts";
import { foreignOf, observedOf } from "./observe.ts";
import type { Paths } from "./paths.ts";
import type { LockFile } from "./state/lock.ts";
import type { Records } from "./state/records.ts";
import { openStateFiles } from "./state/state-file.ts";

/**
 * What there is, looked at and told in one form. Looking heals: a state file that differs from the living
 * container is written again, and a container whose monitor was killed gets a reader of its output.
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
  forget(id: ContainerId): Promise<void>;
};

export type InspectorOptions = {
  paths: Paths;
  records: Records;
  backends: Backend[];
  lockFile: LockFile;
  log: Log;
};

export function openInspector({ paths, records, backends, lockFile, log }: InspectorOptions): Inspector {
  const stateFiles = openStateFiles(paths);
  const bundleOf = ({ id, source }: ContainerSpec): string =>
    source.kind === "bundle" ? source.path : paths.bundle(id);

  async function look(id: ContainerId): Promise<{ observed: Observed; live: Live | undefined } | undefined> {
    const record = records.read(id);
    if (record !== undefined) {
      const backend = requireBackend(backends, record.backend);
      const live = await backend.observe(id);
      if (live === undefined && backend.untraced === "gone") return undefined;
      return { observed: observedOf(record, live, bundleOf(record.spec)), live };
    }
    for (const backend of backends) {
      const live = await backend.observe(id);
      if (live !== undefined) return { observed: foreignOf(id, backend.name, live), live };
    }
    return undefined;
  }

  async function writeState({ id, state }: Observed): Promise<void> {
    if (stateFiles.says(id, state)) return;
    // A full or read-only /run must not hide what was seen.
    await stateFiles
      .write(id, state)
      .catch((err: unknown) => log.warn({ err, containerId: id }, "could not write the state file"));
  }

  /** Only who holds the lock may write; who finds it taken leaves it to who has it. */
  async function heal(id: ContainerId): Promise<void> {
    const signal = AbortSignal.timeout(5_000);
    await using lock = await lockFile(paths.containerLock(id), { wait: false, signal });
    const found = lock === undefined ? undefined : await look(id);
    if (found === undefined) return;
    const { observed, live } = found;
    if (live?.unwatched === true) {
      log.warn(
        { containerId: id },
        "its monitor was killed: its exit code is lost, its output has a reader again",
      );
      await requireBackend(backends, observed.backend).watch(id);
    }
    if (observed.spec !== undefined) await writeState(observed);
  }

  /** Looking succeeds also where healing cannot, such as for a user who may only read. */
  async function healIfNeeded(observed: Observed, live: Live | undefined): Promise<void> {
    const { id, spec, state } = observed;
    const isTold = spec === undefined || stateFiles.says(id, state);
    if (isTold && live?.unwatched !== true) return;
    await heal(id).catch((err: unknown) => log.debug({ err, containerId: id }, "could not heal"));
  }

  async function find(id: ContainerId): Promise<Observed | undefined> {
    const found = await look(id);
    if (found !== undefined) await healIfNeeded(found.observed, found.live);
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
      for (const err of broken) log.error({ err, hint: err.hint }, "a container's record cannot be read");
      const all = await observeAll();
      const observed: Observed[] = [];
      for (const record of known) {
        const backend = requireBackend(backends, record.backend);
        const live = all.get(record.id)?.live ?? (await backend.observe(record.id));
        if (live === undefined && backend.untraced === "gone") continue;
        const one = observedOf(record, live, bundleOf(record.spec));
        await healIfNeeded(one, live);
        observed.push(one);
        all.delete(record.id);
      }
      for (const [id, { backend, live }] of all) observed.push(foreignOf(id, backend.name, live));
      return observed.sort((a, b) => (a.id < b.id ? -1 : 1));
    },
    async settled(id) {
      const found = await look(id);
      if (found === undefined) throw notFound(id);
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
