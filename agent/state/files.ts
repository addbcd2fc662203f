import {
  closeSync,
  existsSync,
  fchmodSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import type { z } from "zod";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { noteReading, noteUnrepeatable } from "./readings.ts";

/*
 * Small files are read and written synchronously: they are in the page cache, or the kernel's own. A read takes
 * 15 µs so, and 200 through the thread pool; who lists a hundred containers reads six hundred of them. What may
 * wait for a disk, or for somebody else's file system, leaves the thread.
 */

const sync = promisify(fsync);

/** A text file; undefined where there is none. */
export function readText(path: string): string | undefined {
  const text = readUnnoted(path);
  noteReading("text", path, text);
  return text;
}

/** As `readText`, for who notes by itself what it makes of the text. */
export function readUnnoted(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ESRCH")) return undefined;
    throw error;
  }
}

/** The names in a folder, sorted; none where it is missing. */
export function readNames(folder: string): string[] {
  const names = namesIn(folder).sort();
  if (names.some((name) => name.includes("\n"))) noteUnrepeatable();
  noteReading("names", folder, names.map((name) => `${name}\n`).join(""));
  return names;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

/** The ends of a text's lines, from some words on that hold no space; sorted, and each once. */
export function readLineEnds(path: string, words: string): string[] {
  const lines = (readUnnoted(path) ?? "").split("\n").filter((line) => line.includes(words));
  const ends = [...new Set(lines.map((line) => line.slice(line.indexOf(words))))].sort();
  noteReading("lines", `${words} ${path}`, ends.map((end) => `${end}\n`).join(""));
  return ends;
}

/** Whether a file takes no more of the disk than so many bytes; one that is not there takes none. */
export function hasRoom(path: string, bytes: number): boolean {
  const { blocks = 0 } = statSync(path, { throwIfNoEntry: false }) ?? {};
  const isBelow = blocks * 512 <= bytes;
  noteReading("room", `${bytes} ${path}`, isBelow ? "" : undefined);
  return isBelow;
}

/** Whether there is anything under a path. */
export function exists(path: string): boolean {
  const isThere = existsSync(path);
  noteReading("path", path, isThere ? "" : undefined);
  return isThere;
}

/**
 * A JSON file of ours; undefined where there is none.
 * @throws {NexcageError} `STATE_CORRUPT` naming the file; `hint` is what to do then
 */
export function readJson<S extends z.ZodType>(path: string, schema: S, hint: string): z.infer<S> | undefined {
  const text = readText(path);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new NexcageError("STATE_CORRUPT", `${path} is not JSON`, { hint, details: { path }, cause });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.join(".") || "it";
  throw new NexcageError("STATE_CORRUPT", `${path}: ${place}: ${issue?.message}`, {
    hint,
    details: { path },
    cause: parsed.error,
  });
}

/** What a write that was cut off has left; the next one takes it over. */
const draftOf = (path: string): string => `${path}.new`;

/**
 * Writes a file whole or not at all, on disk when it returns unless it need not be `durable`; its folder is made.
 * Whoever writes a path holds its container's lock.
 */
export async function writeWhole(
  path: string,
  text: string,
  { mode, durable = true }: { mode: number; durable?: boolean },
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const draft = draftOf(path);
  try {
    const file = openSync(draft, "w", mode);
    try {
      fchmodSync(file, mode); // whatever the umask says
      writeFileSync(file, text);
      if (durable) await sync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** Removes what `writeWhole` has written, or begun to. */
export function removeWhole(path: string): void {
  for (const file of [draftOf(path), path]) rmSync(file, { force: true });
}
