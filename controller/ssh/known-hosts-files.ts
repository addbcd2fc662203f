import { mkdir, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { type HostKeyPolicy, judgeHostKey, type Verdict } from "./host-key.ts";
import { type KnownHost, parseKnownHosts } from "./known-hosts.ts";

/** The user's known_hosts files, each read once; written to where `accept-new` says so, one line at a time. */
export class KnownHostsFiles {
  readonly #files = new Map<string, Promise<KnownHost[]>>();
  #writing: Promise<unknown> = Promise.resolve();

  /** All lines of these files; those that do not exist have none. */
  async read(paths: readonly string[]): Promise<KnownHost[]> {
    return (await Promise.all(paths.map((path) => this.#lines(path)))).flat();
  }

  /** Judges a key by the files as they are now, and writes a new one down before it is trusted. */
  async judge(key: Buffer, policy: Omit<HostKeyPolicy, "known">, paths: readonly string[]): Promise<Verdict> {
    const verdict = judgeHostKey(key, { ...policy, known: await this.read(paths) });
    if (verdict.kind !== "new") return verdict;
    const written = this.#writing.then(async () => {
      // Another connection may have written it while this one waited.
      const now = judgeHostKey(key, { ...policy, known: await this.read(paths) });
      if (now.kind === "new") await this.#append(policy.file, now.line);
      return now;
    });
    this.#writing = written.catch(() => {});
    return await written;
  }

  #lines(path: string): Promise<KnownHost[]> {
    const read = this.#files.get(path) ?? readLines(path);
    this.#files.set(path, read);
    return read;
  }

  async #append(path: string, line: string): Promise<void> {
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await using file = await open(path, "a+", 0o600);
      const text = await file.readFile("utf8");
      const separator = text === "" || text.endsWith("\n") ? "" : "\n";
      await file.appendFile(`${separator}${line}\n`);
      await file.sync();
      this.#files.set(path, Promise.resolve(parseKnownHosts(`${text}${separator}${line}\n`, path)));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new NexcageError("HOST_KEY_UNKNOWN", `cannot write a new host key to ${path}: ${reason}`, {
        hint: "host_key_checking: accept-new writes there; give it a file that you may write (known_hosts:)",
        cause: error,
      });
    }
  }
}

async function readLines(path: string): Promise<KnownHost[]> {
  try {
    return parseKnownHosts(await readFile(path, "utf8"), path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    // A file that cannot be read may hold a revocation: not the same as one that is not there.
    const reason = error instanceof Error ? error.message : String(error);
    throw new NexcageError("HOST_KEY_UNKNOWN", `cannot read ${path}: ${reason}`, { cause: error });
  }
}
