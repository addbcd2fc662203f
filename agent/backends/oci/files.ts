import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { hasCode } from "../../../shared/errors.ts";
import type { Paths } from "../../paths.ts";
import type { Place } from "./oci-runtime.ts";

/*
 * What a container has on disk: its bundle (config.json, its own layer or copy of the image), how it
 * ended, its log. For a replacement all of it can be put aside, and brought back. The bundle comes back
 * last: who is interrupted finds it aside, and does the rest again.
 */

const besidesBundle = (id: string, paths: Paths): string[] => [
  paths.exit(id),
  `${paths.exit(id)}.new`, // the monitor's, until the container has ended
  paths.logFile(id),
  `${paths.logFile(id)}.1`,
];

/** An id never begins with a dot. */
const asideOf = (path: string): string => join(dirname(path), `.old-${basename(path)}`);

/** Removes what is aside from an earlier time, then puts aside what is there. */
export async function putAside(id: string, paths: Paths): Promise<void> {
  await dropAside(id, paths);
  for (const path of [paths.bundle(id), ...besidesBundle(id, paths)]) moveIfThere(path, asideOf(path));
}

/** Puts back what is aside, in place of what is there now; where nothing is aside it changes nothing. */
export async function bringBack(id: string, paths: Paths): Promise<void> {
  const bundle = paths.bundle(id);
  if (!existsSync(asideOf(bundle))) return;
  for (const path of besidesBundle(id, paths)) moveIfThere(asideOf(path), path);
  await removeBundle(bundle);
  moveIfThere(asideOf(bundle), bundle);
}

/** Removes what is aside; the bundle last, so that an interruption does not hide the rest. */
export async function dropAside(id: string, paths: Paths): Promise<void> {
  for (const path of besidesBundle(id, paths)) rmSync(asideOf(path), { force: true });
  await removeBundle(asideOf(paths.bundle(id)));
}

/** Removes all that a container has on disk, but not what is aside. */
export async function removeFiles(id: string, paths: Paths): Promise<void> {
  for (const path of besidesBundle(id, paths)) rmSync(path, { force: true });
  await removeBundle(paths.bundle(id));
}

/** What a new life of the container must not find: how the last one ended. */
export function forgetEnd(id: string, paths: Paths): void {
  for (const path of [paths.exit(id), `${paths.exit(id)}.new`]) rmSync(path, { force: true });
}

/** The folders that must be there before a container is made; root's alone, but for the log. */
export function makeFolders(id: string, { kind, paths }: Place): void {
  const options = { recursive: true, mode: 0o700 };
  for (const folder of [
    paths.runtimeRoot(kind.name),
    paths.io(id, kind.name),
    dirname(paths.bundle(id)),
    paths.exits,
  ])
    mkdirSync(folder, options);
  mkdirSync(paths.log, { recursive: true, mode: 0o755 });
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/** It may have a copy of an image in it. */
async function removeBundle(path: string): Promise<void> {
  if (existsSync(path)) await rm(path, { recursive: true, force: true });
}
