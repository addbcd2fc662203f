import type { Change } from "../../shared/container.ts";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ChangeOptions } from "../runtime.ts";
import type { OperationEnd } from "../state/counters.ts";
import type { Ending, Intent } from "../state/journal-file.ts";
import { lockContainer } from "../state/lock.ts";
import type { Parts } from "./parts.ts";
import { settleCutOff } from "./recover.ts";

/** One operation, while it is done. */
export type Attempt = {
  /**
   * Before anything changes: the intent is on disk when it returns. What is refused before it has left
   * nothing, and is not recorded.
   */
  begin(more?: Pick<Intent, "wasRunning" | "runtime" | "pid">): Promise<void>;
  /** Tells what comes next. */
  step(name: string): Promise<void>;
  /** Is done, last first, when the operation fails; until it stands. */
  undo(action: () => Promise<void>): void;
  /** The change is made, whatever fails from here on. */
  stands(): void;
};

/**
 * What all changes share: the container's lock, what a killed agent left of the container, the answer of
 * the same operation if it was done before, and the journal around the work.
 */
export async function operate(
  parts: Parts,
  { kind, id }: { kind: Intent["kind"]; id: ContainerId },
  options: ChangeOptions,
  work: (attempt: Attempt) => Promise<Change>,
): Promise<Change> {
  const { counters, journal, lockFile, lockTimeoutMs, paths, log } = parts;
  const { operationId, signal } = options;
  const lockOptions = { id, timeoutMs: lockTimeoutMs, signal };
  await using _lock = await lockContainer(lockFile, paths.containerLock(id), lockOptions);
  for (const intent of journal.unfinished(id)) await settleCutOff(intent, parts, { signal });
  const known = journal.find(operationId);
  if (known !== undefined && !("undone" in known)) return replay(known);

  const startedMs = performance.now();
  const count = (result: OperationEnd["result"]): void =>
    counters.count({ kind, result, seconds: (performance.now() - startedMs) / 1_000 });
  let undoing = new AsyncDisposableStack();
  const step = async (name: string): Promise<void> => {
    log.debug({ containerId: id, operationId, kind, step: name }, "operation step");
    await options.onStep?.(name);
    await parts.onStep?.({ operationId, step: name });
  };
  let hasBegun = false;
  const attempt: Attempt = {
    async begin(more) {
      await journal.begin({ operationId, kind, id, ...more });
      hasBegun = true;
      await step("begun");
    },
    step,
    undo: (action) => undoing.defer(action),
    stands: () => {
      undoing = new AsyncDisposableStack();
    },
  };
  try {
    const change = await work(attempt);
    if (hasBegun) await step("ending");
    if (hasBegun) await record(parts, operationId, { change });
    count("done");
    return change;
  } catch (cause) {
    const error = asNexcageError(cause);
    const isUndone = await undoAll(undoing, parts, id);
    // What could not be undone stays unfinished in the journal: who comes next to this container tries again.
    const ending: Ending = error.code === "INTERRUPTED" ? { undone: true } : { error: error.toJSON() };
    if (hasBegun && isUndone) await record(parts, operationId, ending);
    count(error.code === "INTERRUPTED" ? "interrupted" : "failed");
    throw error;
  }
}

function replay(ending: Exclude<Ending, { undone: true }>): Change {
  if ("change" in ending) return ending.change;
  throw new NexcageError(ending.error.code, ending.error.message, ending.error);
}

async function undoAll(undoing: AsyncDisposableStack, { log }: Parts, id: ContainerId): Promise<boolean> {
  try {
    await undoing.disposeAsync();
    return true;
  } catch (err) {
    log.error({ err, containerId: id }, "an operation that failed could not be undone");
    return false;
  }
}

/** A full disk does not hide what happened: it is found out again by who comes next. */
async function record(
  { journal, log }: Parts,
  operationId: Intent["operationId"],
  ending: Ending,
): Promise<void> {
  await journal
    .end(operationId, ending)
    .catch((err: unknown) => log.warn({ err, operationId }, "could not record how an operation ended"));
}
