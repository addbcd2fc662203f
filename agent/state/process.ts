import { readFile } from "node:fs/promises";
import { hasCode } from "../../shared/errors.ts";

/** A process as proc(5) has it. With its start time a pid names one process for ever. */
export type ProcessStat = {
  pid: number;
  ppid: number;
  command: string;
  /** `Z`: it has ended and waits to be reaped. */
  state: string;
  /** Field 22, in clock ticks since boot. */
  startTicks: string;
};

/** What runs under a pid of the host; undefined when nothing does. */
export async function readProcess(pid: number): Promise<ProcessStat | undefined> {
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
  // The command may hold spaces and parentheses: the fields begin after its last one.
  const end = text.lastIndexOf(")");
  const [state = "", ppid = "0", ...rest] = text.slice(end + 2).split(" ");
  return {
    pid,
    ppid: Number(ppid),
    command: text.slice(text.indexOf("(") + 1, end),
    state,
    startTicks: rest[17] ?? "",
  };
}

/** The process with this pid and start time, if it lives; a zombie does not. */
export async function readLiveProcess(pid: number, startTicks?: string): Promise<ProcessStat | undefined> {
  const found = await readProcess(pid);
  if (found === undefined || found.state === "Z" || found.state === "X") return undefined;
  return startTicks === undefined || found.startTicks === startTicks ? found : undefined;
}
