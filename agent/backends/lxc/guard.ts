import { type ChildProcess, spawn } from "node:child_process";

/*
 * A killed lxc-attach leaves its command running in the guest, and a killed agent leaves both. So a small shell
 * waits at a pipe of the agent's: when that closes, for whatever reason, it ends the process and all below it.
 */

const script = `
end() {
  for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do end "$child"; done
  kill -s KILL "$1" 2>/dev/null
}
read -r _ || end "$1"
`;

export type Guard = AsyncDisposable & { release(): void };

/**
 * Ends a process and its children when it is disposed of, or when this program is gone, unless released before.
 * @param terminal the controlling end of its terminal: with that the process would be gone first, and nobody could
 * tell its children any more
 */
export function guardProcess(pid: number, { terminal }: { terminal?: number | undefined } = {}): Guard {
  // A session of its own: Ctrl-C in the agent's terminal must not end it first.
  const child: ChildProcess = spawn("/bin/sh", ["-c", script, "sh", String(pid)], {
    stdio: ["pipe", "ignore", "ignore", ...(terminal === undefined ? [] : [terminal])],
    cwd: "/",
    detached: true,
  });
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => resolve()).once("error", () => resolve());
  });
  child.stdin?.on("error", () => {}); // it has ended
  return {
    release: () => {
      child.stdin?.end("released\n");
    },
    async [Symbol.asyncDispose]() {
      child.stdin?.end();
      await gone;
    },
  };
}
