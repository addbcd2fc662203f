import { asNexcageError, NexcageError } from "../shared/errors.ts";
import type { Inspector } from "./inspect.ts";
import type { RuntimeDependencies } from "./runtime.ts";
import type { Intent, Recorded } from "./state/journal.ts";
import { lockContainer } from "./state/lock.ts";

type RecoveryOptions = Pick<
  RuntimeDependencies,
  "paths" | "backends" | "lockFile" | "lockTimeoutMs" | "log" | "onStep"
> & { inspector: Inspector; signal: AbortSignal };

/**
 * Ends an operation that its agent began and did not end: finishes what had come so far that only the
 * telling was missing, and takes away what is half made. Done twice it does the same, so that being cut
 * off itself does no harm.
 */
export async function settleCutOff(
  operation: Intent,
  options: RecoveryOptions,
): Promise<Recorded | "undone" | "later"> {
  const { paths, lockFile, lockTimeoutMs, log, signal } = options;
  const { id, kind, operationId } = operation;
  try {
    await using _lock = await lockContainer(lockFile, paths.containerLock(id), {
      id,
      timeoutMs: lockTimeoutMs,
      signal,
    });
    const result = await settle(operation, options);
    log.warn(
      { containerId: id, operationId, kind, settled: result === "undone" ? "undone" : "finished" },
      "an operation that was cut off is settled",
    );
    return result;
  } catch (error) {
    if (signal.aborted) throw error;
    log.error(
      { err: error, containerId: id, operationId, kind },
      "an operation that was cut off cannot be settled now",
    );
    return "later";
  }
}

async function settle(
  { id, kind, operationId, start }: Intent,
  { backends, inspector, signal }: RecoveryOptions,
): Promise<Recorded | "undone"> {
  const removeAll = async (): Promise<void> => {
    for (const backend of backends) await backend.delete(id, { signal });
    await inspector.forget(id);
  };
  // One that cannot be read tells nothing: its container is as good as half made, if this made it.
  const record = await inspector.records.read(id).catch((error: unknown) => {
    throw asNexcageError(error);
  });
  switch (kind) {
    case "create":
    case "replace": {
      const stands = record?.operationId === operationId && record.doomed !== true;
      if (!stands) {
        const isOthers = record !== undefined && record.doomed !== true;
        if (!isOthers) await removeAll();
        return "undone";
      }
      const backend = backends.find(({ name }) => name === record.backend);
      if (backend === undefined)
        throw new NexcageError("BACKEND_UNAVAILABLE", `this agent has no backend ${record.backend}`);
      const live = await backend.observe(id, undefined);
      if (start === true && live?.status === "created") {
        await backend.start(id);
        return { change: { changed: true, container: await inspector.started(record) } };
      }
      if (live === undefined) {
        // The host went down in between: it was made, and is made again when it is started.
        await inspector.require(id);
        return "undone";
      }
      return { change: { changed: true, container: await inspector.require(id) } };
    }
    case "delete":
      if (record !== undefined) await removeAll();
      return { change: { changed: true } };
    case "start": {
      // Made again and not started: asked once more, it starts.
      await inspector.find(id);
      return "undone";
    }
    case "stop":
    case "kill":
    case "update":
      await inspector.find(id);
      return "undone";
    default:
      return kind satisfies never;
  }
}
