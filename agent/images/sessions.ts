import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hasCode } from "../../shared/errors.ts";
import { Digest } from "../../shared/ids.ts";
import type { Log } from "../log.ts";
import type { LockFile } from "../state/lock.ts";

/**
 * A session is a folder that its process keeps locked. What it uploads, unpacks and leases lies in there;
 * once the process is gone the lock is free, and whoever comes next sweeps the folder. Folders are made,
 * filled with leases and swept under one more lock, the gate.
 */
export type Sessions = AsyncDisposable & {
  /** Keeps these images from being pruned while this session lives; gives the session's folder. */
  lease(digests: Digest[]): Promise<string>;
  /**
   * Runs `work` while nobody can take a lease. What it moves into `trash` is removed afterwards. A lease
   * may end meanwhile: look at what its holder may have recorded after looking at the leases.
   */
  withoutNewLeases<T>(work: (state: { leased: Set<Digest>; trash: string }) => Promise<T>): Promise<T>;
};

/** How long others may hold the gate: each does so for milliseconds. */
const gateTimeoutMs = 30_000;

type Session = { folder: string; lock: AsyncDisposable };

/** Opens a session below `root` (made when it is first needed), and sweeps those of processes that are gone. */
export async function openSessions(
  root: string,
  { lockFile, log }: { lockFile: LockFile; log: Log },
): Promise<Sessions> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  const leased = new Set<Digest>();
  let own: Session | undefined;

  async function atGate<T>(work: () => Promise<T>): Promise<T> {
    await using _gate = await lockFile(join(root, "gate"), {
      wait: true,
      signal: AbortSignal.timeout(gateTimeoutMs),
    });
    return await work();
  }

  async function openOwn(): Promise<Session> {
    if (own !== undefined) return own;
    const folder = join(root, randomUUID());
    await mkdir(join(folder, "leases"), { recursive: true, mode: 0o700 });
    const lock = await lockFile(join(folder, "lock"), {
      wait: false,
      signal: AbortSignal.timeout(gateTimeoutMs),
    });
    if (lock === undefined) throw new Error(`${folder} is new and locked all the same`);
    own = { folder, lock };
    return own;
  }

  /** The folders of the others that live; the rest is removed. */
  async function sweep(): Promise<string[]> {
    const alive: string[] = [];
    for (const folder of await othersFolders()) {
      const signal = AbortSignal.timeout(gateTimeoutMs);
      await using lock = await lockFile(join(folder, "lock"), { wait: false, signal }).catch(unlessGone);
      if (lock === undefined) {
        alive.push(folder);
        continue;
      }
      await rm(folder, { recursive: true, force: true });
      log.info({ folder }, "removed what a process that is gone left of its images");
    }
    return alive;
  }

  async function othersFolders(): Promise<string[]> {
    const entries = await readdir(root, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(root, entry.name))
      .filter((folder) => folder !== own?.folder);
  }

  if ((await othersFolders()).length > 0) await atGate(sweep);

  return {
    async lease(digests) {
      const wanted = digests.filter((digest) => !leased.has(digest));
      if (own !== undefined && wanted.length === 0) return own.folder;
      return await atGate(async () => {
        const { folder } = await openOwn();
        for (const digest of wanted) {
          await writeFile(join(folder, "leases", digest), "");
          leased.add(digest);
        }
        return folder;
      });
    },

    async withoutNewLeases(work) {
      const { result, trash } = await atGate(async () => {
        const { folder } = await openOwn();
        const theirs = await Promise.all((await sweep()).map(leasesIn));
        const trash = join(folder, "trash");
        await mkdir(trash, { recursive: true });
        return { trash, result: await work({ leased: new Set([...leased, ...theirs.flat()]), trash }) };
      });
      await rm(trash, { recursive: true, force: true });
      return result;
    },

    async [Symbol.asyncDispose]() {
      if (own === undefined) return;
      await rm(own.folder, { recursive: true, force: true });
      await own.lock[Symbol.asyncDispose]();
      own = undefined;
    },
  };
}

async function leasesIn(folder: string): Promise<Digest[]> {
  const names = await readdir(join(folder, "leases")).catch(unlessGone);
  return (names ?? []).flatMap((name) => Digest.safeParse(name).data ?? []);
}

/** A session that ends meanwhile takes its folder with it. */
function unlessGone(error: unknown): undefined {
  if (!hasCode(error, "ENOENT")) throw error;
  return undefined;
}
