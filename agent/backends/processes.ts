import type { ProcessInfo } from "../../shared/container.ts";
import { readText } from "../state/files.ts";
import { readProcess } from "../state/process.ts";

/** What runs under these pids of the host, sorted; what has ended since is left out. */
export function processesOf(pids: number[]): ProcessInfo[] {
  return pids
    .toSorted((a, b) => a - b)
    .flatMap((pid) => {
      const found = readProcess(pid);
      const uid = /^Uid:\t(\d+)/m.exec(readText(`/proc/${pid}/status`) ?? "")?.[1];
      if (found === undefined || uid === undefined) return [];
      const commandLine = readText(`/proc/${pid}/cmdline`)?.replaceAll("\0", " ").trim();
      // A zombie or a kernel thread has no command line.
      return [{ pid, ppid: found.ppid, uid: Number(uid), command: commandLine || `[${found.command}]` }];
    });
}
