import { readFile } from "node:fs/promises";
import { hasCode } from "../../shared/errors.ts";

/** A process that can be told from a later one with the same pid. */
export type ProcessId = { pid: number; startTime: string };

/** `undefined` when there is no such process, or only a zombie. */
export async function identify(pid: number): Promise<ProcessId | undefined> {
  const stat = await readProc(`/proc/${pid}/stat`);
  // proc(5): the name in parentheses may hold anything, the state (3) and the start time (22) come after it.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  const startTime = fields?.[19];
  return startTime === undefined || fields?.[0] === "Z" ? undefined : { pid, startTime };
}

export async function isAlive({ pid, startTime }: ProcessId): Promise<boolean> {
  return (await identify(pid))?.startTime === startTime;
}

/** Whether a process lives in a pid namespace below ours. */
export async function isInside(pid: number): Promise<boolean> {
  const pids = (await readProc(`/proc/${pid}/status`))?.match(/^NSpid:\s+(.*)$/m)?.[1];
  return pids !== undefined && pids.split(/\s+/).length > 1;
}

/** The first child of a process, once it has one. */
export async function findChild(pid: number): Promise<number | undefined> {
  const children = await readProc(`/proc/${pid}/task/${pid}/children`);
  const first = Number.parseInt(children ?? "", 10);
  return Number.isNaN(first) ? undefined : first;
}

/** SIGKILL; a process that has gone already is fine. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!hasCode(error, "ESRCH")) throw error;
  }
}

async function readProc(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}
