import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { NexcageError } from "../../../shared/errors.ts";
import { type RawLine, rawLinesOf } from "../../../shared/raw-lines.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import { readText } from "../../state/files.ts";
import type { LockFile } from "../../state/lock.ts";
import { configFile, readGuest } from "./guests.ts";

/** Never written by anyone but nexcage; the others are taken away only where a spec said them. */
const consoleKey = "lxc.console.logfile";

/**
 * What a line is about: its key, and where a guest may have several of a key that each are for themselves, which
 * variable, or where it is mounted. Pure.
 */
export function lineName({ key, value }: RawLine): string {
  if (key === "lxc.environment.runtime") return `${key} ${value.split("=")[0]}`;
  if (key === "lxc.mount.entry") return `${key} /${value.split(/\s+/)[1]}`;
  return key;
}

/**
 * A configuration's text with these lines in place of those that `before` had, below what is said of the guest
 * now. What a spec says is replaced; other lines belong to who wrote them. Pure.
 */
export function withRawLines(
  text: string,
  lines: readonly RawLine[],
  { before }: { before: readonly RawLine[] },
): string {
  const sections = text.search(/^\[/m);
  const current = sections < 0 ? text : text.slice(0, sections);
  const rest = sections < 0 ? "" : text.slice(sections);
  const ours = new Set([consoleKey, ...[...lines, ...before].map(lineName)]);
  const isOurs = (line: string): boolean => {
    const [, key, value] = /^(lxc\.[a-z0-9_.]+)\s*[:=]\s*(.*)$/.exec(line) ?? [];
    return key !== undefined && value !== undefined && ours.has(lineName({ key, value }));
  };
  const kept = current.split("\n").filter((line) => line !== "" && !isOurs(line));
  const own = lines.map(({ key, value }) => `${key}: ${value}`);
  return `${[...kept, ...own].join("\n")}\n${rest === "" ? "" : `\n${rest}`}`;
}

/** The lines of a container, its console's log included. Pure. */
export function linesOf(
  { spec, lines }: { spec: ContainerSpec; lines: readonly RawLine[] },
  { consoleLog }: { consoleLog: string },
): RawLine[] {
  return [...lines, ...rawLinesOf(spec), { key: consoleKey, value: consoleLog }];
}

/**
 * Writes a guest's `lxc.*` lines, for which pct has no option, under the lock that pct takes itself.
 * @returns whether something changed
 * @throws {NexcageError} `RUNTIME_FAILED` where `/etc/pve` cannot be written
 */
export async function writeRawLines(
  vmid: number,
  { lines, before: replaced }: { lines: readonly RawLine[]; before: readonly RawLine[] },
  { lockFile, signal }: { lockFile: LockFile; signal: AbortSignal },
): Promise<boolean> {
  const path = `/run/lock/lxc/pve-config-${vmid}.lock`;
  await using _lock = await lockFile(path, { wait: true, keep: true, signal });
  const before = readText(configFile(vmid));
  if (before === undefined || readGuest(vmid)?.config.values.has("lock") === true)
    throw new NexcageError("LOCK_HELD", `guest ${vmid} is being changed by somebody else`, {
      hint: `see who: pct config ${vmid}`,
    });
  const after = withRawLines(before, lines, { before: replaced });
  if (after === before) return false;
  // Beside it, and renamed: that is how Proxmox writes these files too.
  const draft = `${configFile(vmid)}.tmp.${process.pid}`;
  try {
    await writeFile(draft, after);
    await chmod(draft, 0o640).catch(() => {}); // pmxcfs has modes of its own
    await rename(draft, configFile(vmid));
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => {});
    throw new NexcageError("RUNTIME_FAILED", `${configFile(vmid)} cannot be written`, {
      hint: "has the cluster a quorum? pvecm status",
      cause,
    });
  }
  return true;
}
