import { readUnnoted } from "./files.ts";
import { noteReading } from "./readings.ts";

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
  const found = parseStat(pid, readUnnoted(`/proc/${pid}/stat`));
  noteReading("process", String(pid), found && identityOf(found));
  return found;
}

/** The process with this pid and start time, if it lives; a zombie does not. */
export function findProcess(pid: number, startTicks: number): ProcessStat | undefined {
  const found = readProcess(pid);
  if (found === undefined || found.startTicks !== startTicks) return undefined;
  return isAlive(found) ? found : undefined;
}

function parseStat(pid: number, text: string | undefined): ProcessStat | undefined {
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

function isAlive({ state }: ProcessStat): boolean {
  return state !== "Z" && state !== "X";
}

/** What of it stays the same while it lives: all that anybody here asks of `state`. */
function identityOf(process: ProcessStat): string {
  const { ppid, startTicks, command } = process;
  return `${isAlive(process) ? "alive" : "ended"} ${ppid} ${startTicks} ${command}`;
}
