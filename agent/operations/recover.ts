import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import { requireBackend } from "../backends/router.ts";
import type { CutOff } from "../state/journal.ts";
import type { Ending, Intent } from "../state/journal-file.ts";
import { noteUnrepeatable } from "../state/readings.ts";
import type { Parts } from "./parts.ts";
import { removeAll } from "./remove-all.ts";
import { endLive, startAgain } from "./running.ts";

type Waiting = { signal: AbortSignal };

/**
 * Settles what agents that are gone left unfinished. What cannot be settled now is logged, and left to
 * who comes next to that container: it does not keep this agent from the others.
 */
export async function recoverAll(parts: Parts, { signal }: Waiting): Promise<void> {
  const { journal, lockFile, paths, log } = parts;
  const unfinished = journal.unfinished();
  if (unfinished.length > 0) noteUnrepeatable(); // what cannot be settled now is tried again
  for (const { id, operationId } of unfinished) {
    await using lock = await lockFile(paths.containerLock(id), { wait: false, signal });
    if (lock === undefined) continue; // an agent is at work on it; this operation may be its own
    // Somebody may have settled it meanwhile.
    const intent = journal.unfinished(id).find((one) => one.operationId === operationId);
    if (intent === undefined) continue;
    try {
      await settleCutOff(intent, parts, { signal });
    } catch (err) {
      if (signal.aborted) throw err;
      log.error({ err, containerId: id, operationId }, "an operation that was cut off could not be settled");
    }
  }
}

/**
 * Ends an operation that began and did not end, under its container's lock: finishes it where only the
 * telling was missing, else takes away what is half made. Done twice it does the same.
 */
export async function settleCutOff(intent: CutOff, parts: Parts, { signal }: Waiting): Promise<void> {
  const { backends, journal, log } = parts;
  const { id, kind, operationId } = intent;
  for (const backend of backends) await backend.settle(id, { signal });
  const ending = await settle(intent, parts, { signal }).catch((error: unknown): Ending => {
    // A record that cannot be read was not left so by us, who write it whole: nothing here is touched.
    if (asNexcageError(error).code !== "STATE_CORRUPT") throw error;
    return { error: asNexcageError(error).toJSON() };
  });
  await journal.end(operationId, ending);
  const isUndone = "undone" in ending;
  log.warn({ containerId: id, operationId, kind, isUndone }, "an operation that was cut off is settled");
}

async function settle(intent: CutOff, parts: Parts, { signal }: Waiting): Promise<Ending> {
  const { inspector, records } = parts;
  const { id, kind, operationId } = intent;
  const record = records.read(id);
  const backend = requireBackend(parts.backends, record?.backend ?? "crun");
  const live = await backend.observe(id);
  const hasStopped = live === undefined || live.status === "stopped";
  const isMade = record?.operationId === operationId;
  const done = async (): Promise<Ending> => ({
    change: { changed: true, container: await inspector.settled(id) },
  });
  switch (kind) {
    case "create":
      if (isMade) return await done();
      if (record === undefined) await removeAll(parts, id);
      return undone;
    case "replace":
      if (isMade) {
        for (const one of parts.backends) await one.discard(id);
        return await done();
      }
      if (record === undefined) await removeAll(parts, id);
      else {
        if (intent.runtime !== undefined && intent.runtime !== backend.name)
          await requireBackend(parts.backends, intent.runtime).undoReplacement(id, { of: backend.name });
        await backend.restore(id);
        if (intent.wasRunning === true) await startRestored(parts, id, { signal });
      }
      return undone;
    case "delete":
      await removeAll(parts, id);
      return { change: { changed: true } };
    case "adopt": // its mark tells the rest
      return isMade ? await done() : undone;
    case "update":
      if (isMade) {
        await backend.removeSnapshots?.(id, { otherThan: operationId });
        return await done();
      }
      if (record !== undefined) await backend.update(record.spec, { isLive: !hasStopped });
      await backend.removeSnapshots?.(id, { of: operationId });
      return undone;
    case "start": {
      if (live?.status === "creating") await backend.stopNow(id);
      const hasRun = live?.exit !== undefined && live.exit.finishedAt >= intent.at;
      if (live?.status !== "running" && !hasRun) return undone;
      if (record !== undefined) await records.write({ ...record, startedAt: intent.at });
      return await done();
    }
    case "stop":
      return hasStopped ? await done() : undone;
    case "restart":
      // What is stopping, or has stopped, is to run again; a new init is all that was asked for.
      try {
        if (live?.pid === intent.pid && !hasStopped)
          await endLive({ id, backend, before: await inspector.settled(id), record }, { signal });
        await startAgain(parts, id, { signal });
      } catch (error) {
        if (signal.aborted) throw error;
        return { error: asNexcageError(error).toJSON() };
      }
      if (record !== undefined) await records.write({ ...record, startedAt: intent.at });
      return await done();
    case "pause":
      return live?.status === "paused" ? await done() : undone;
    case "resume":
      return live?.status === "running" ? await done() : undone;
    case "kill":
      return hasStopped ? await done() : { error: unknownSignal(intent).toJSON() };
    default:
      return kind satisfies never;
  }
}

const undone = { undone: true } as const;

/** What cannot run any more is back all the same, and must not keep others from it: the next plan sees it stopped. */
async function startRestored(parts: Parts, id: ContainerId, { signal }: Waiting): Promise<void> {
  await startAgain(parts, id, { signal }).catch((err: unknown) => {
    if (signal.aborted) throw err;
    parts.log.error({ err, containerId: id }, "it was not replaced, and what is there again did not start");
  });
}

function unknownSignal({ id, operationId }: Intent): NexcageError {
  return new NexcageError(
    "RUNTIME_FAILED",
    `the agent was killed while it sent a signal to container ${id}: whether it arrived is not known`,
    { hint: "send it again", details: { operationId } },
  );
}
