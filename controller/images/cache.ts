import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { hasCode } from "../../shared/errors.ts";
import { Digest } from "../../shared/ids.ts";

const Known = z.object({
  /** Of a packed folder: of its tar. A tar's own is the sha256 below. */
  digest: Digest.optional(),
  sha256: z.string(),
  bytes: z.int(),
});
type Known = z.infer<typeof Known>;

/**
 * What was read of images on this machine, so that it is not read again: `DIGEST.tar.zst` of each packed
 * folder, and in `known/` what a path was when it was last read. Any number of processes may use it.
 */
export type ImageCache = {
  /** What is known under a key that names one state of a file or folder. */
  find(key: string): Promise<Known | undefined>;
  /**
   * Keeps it, unless it changed a moment ago: then it may change once more without its times showing it.
   * @param options.changedNs when it changed last, in ns since 1970
   */
  remember(key: string, known: Known, options: { changedNs: bigint }): Promise<void>;
  fileOf(digest: Digest): string;
  /** Whether the file is there and whole; it is then used from now on. */
  hasFile(digest: Digest, bytes: number): Promise<boolean>;
  /** A path for a file that is still being made. */
  newFile(): string;
  /** Takes over such a file; gives where it is. */
  keep(file: string, digest: Digest): Promise<string>;
  /** Removes what has not been used for long, and the oldest of what is too much. */
  trim(options: { except: string }): Promise<void>;
};

/** As git's index: file systems keep times in steps, of up to 2 s. */
const settledAfterMs = 2_000;
const dayMs = 24 * 60 * 60 * 1_000;
const unusedAfterMs = 30 * dayMs;
const unfinishedAfterMs = dayMs;
const maxBytes = 10 * 1024 ** 3;

export async function openImageCache(folder: string, { now }: { now: () => number }): Promise<ImageCache> {
  const known = join(folder, "known");
  await mkdir(known, { recursive: true, mode: 0o700 });
  const knownFile = (key: string) => join(known, createHash("sha256").update(key).digest("hex"));
  const newFile = () => join(folder, `${randomUUID()}.part`);
  const fileOf = (digest: Digest) => join(folder, `${digest.replace("sha256:", "")}.tar.zst`);

  return {
    async find(key) {
      const file = knownFile(key);
      const text = await readFile(file, "utf8").catch(unlessMissing);
      if (text === undefined) return undefined;
      await touch(file);
      return Known.safeParse(parseJson(text)).data;
    },

    async remember(key, value, { changedNs }) {
      if (now() - Number(changedNs / 1_000_000n) < settledAfterMs) return;
      const draft = newFile();
      await writeFile(draft, JSON.stringify(value), { mode: 0o600 });
      await rename(draft, knownFile(key));
    },

    fileOf,

    async hasFile(digest, bytes) {
      const stats = await stat(fileOf(digest)).catch(unlessMissing);
      if (stats?.size !== bytes) return false;
      await touch(fileOf(digest));
      return true;
    },

    newFile,

    async keep(file, digest) {
      await rename(file, fileOf(digest));
      return fileOf(digest);
    },

    async trim({ except }) {
      const files = await filesIn(folder, now());
      let bytes = 0;
      for (const { path, size, ageMs } of files.filter(({ path }) => path !== except)) {
        bytes += size;
        const limitMs = path.endsWith(".part") ? unfinishedAfterMs : unusedAfterMs;
        if (ageMs > limitMs || bytes > maxBytes) await rm(path, { force: true });
      }
      for (const { path, ageMs } of await filesIn(known, now()))
        if (ageMs > unusedAfterMs) await rm(path, { force: true });
    },
  };
}

/** With their sizes and how long they were not used, the last used first. */
async function filesIn(
  folder: string,
  nowMs: number,
): Promise<{ path: string; size: number; ageMs: number }[]> {
  const files = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const stats = await stat(path).catch(unlessMissing);
    if (stats?.isFile() === true) files.push({ path, size: stats.size, ageMs: nowMs - stats.mtimeMs });
  }
  return files.sort((a, b) => a.ageMs - b.ageMs);
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now).catch(unlessMissing);
}

/** Another process may trim at any time. */
function unlessMissing(error: unknown): undefined {
  if (!hasCode(error, "ENOENT")) throw error;
  return undefined;
}

/** A file that is no JSON is not known: it is written anew. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
