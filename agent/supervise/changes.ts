import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";

/** Tells when a file was written to, made or renamed, whichever inode has its name. */
export class Changes implements Disposable {
  readonly #watcher: FSWatcher;
  #next = Promise.withResolvers<void>();

  /** Its folder must be there. What happens from now on is not missed. */
  constructor(path: string) {
    const name = basename(path);
    this.#watcher = watch(dirname(path), (_event, changed) => {
      if (changed === null || changed === name) this.#next.resolve();
    });
    // Without inotify (its limits are the host's, for all users) there is `atMostMs`.
    this.#watcher.on("error", () => {});
  }

  /** Waits for a change since the last wait, for the time, or for the abort, whatever comes first. */
  async wait({ atMostMs, signal }: { atMostMs: number; signal: AbortSignal }): Promise<void> {
    if (signal.aborted) return;
    const { promise: woken, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    const timer = setTimeout(wake, atMostMs);
    signal.addEventListener("abort", wake);
    await Promise.race([this.#next.promise, woken]);
    clearTimeout(timer);
    signal.removeEventListener("abort", wake);
    this.#next = Promise.withResolvers();
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }
}
