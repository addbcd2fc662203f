import { readText } from "./files.ts";

/** A process as proc(5) has it. With its start time a pid names one process for ever. */
export type ProcessStat = {
  pid: number;
  ppid: number;
  /** Its name, cut at 15 bytes. */
  command: string;
  /** `Z`: it has ended and waits to be reaped. */
  state: string;
  /** Field 22, in clock ticks since boot. */
  startTicks: number;
};

/** What runs under a pid of the host; undefined when nothing does. */
export function readProcess(pid: number): ProcessStat | undefined {
  const text = readText(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name may hold spaces and parentheses: the fields begin after its last one.
  const end = text.lastIndexOf(")");
  const fields = text.slice(end + 2).split(" ");
  return {
    pid,
    ppid: Number(fields[1]),
    command: text.slice(text.indexOf("(") + 1, end),
    state: fields[0] ?? "",
    startTicks: Number(fields[19]),
  };
}

/** The process with this pid and start time, if it lives; a zombie does not. */
export function findProcess(pid: number, startTicks: number): ProcessStat | undefined {
  const found = readProcess(pid);
  if (found === undefined || found.startTicks !== startTicks) return undefined;
  return found.state === "Z" || found.state === "X" ? undefined : found;
}
