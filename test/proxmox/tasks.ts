// Changes run in a worker of their own, named by a UPID (the recorded facts, "Tasks").
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { hasQuorum, replaceFile } from "./cluster.ts";
import { withFileLock } from "./locks.ts";
import { node, pve, tasksDir } from "./paths.ts";

export type TaskStart = { type: string; id: string; argv: readonly string[] };
/** What the worker reads on its stdin. */
export type Order = { upid: string; argv: string[] };

const hex = (value: number) => value.toString(16).toUpperCase().padStart(8, "0");

/**
 * Runs a verb's task in a worker with a session of its own, copies its output to stdout and to the task's
 * log, and says its error once more on stderr. A signal to us goes to the worker's group as TERM, the fourth as KILL.
 */
export async function runTask({ type, id, argv }: TaskStart): Promise<number> {
  const worker = spawn(
    "sh",
    ["-c", 'exec "$@" 2>&1', "sh", process.execPath, ...process.execArgv, process.argv[1] ?? "", "worker"],
    { detached: true, stdio: ["pipe", "pipe", "inherit"] },
  );
  const pid = worker.pid ?? 0;
  const upid = `UPID:${node}:${hex(pid)}:${hex(startTicks(pid) ?? 0)}:${hex(seconds())}:${type}:${id}:root@pam:`;
  const log = logFile(upid);
  mkdirSync(dirname(log), { recursive: true });
  appendFileSync(log, "");
  await updateActive(upid, "0");
  logToCluster(`starting task ${upid}`);

  let signals = 0;
  for (const name of ["SIGINT", "SIGQUIT", "SIGTERM"] as const)
    process.on(name, () => killGroup(pid, ++signals > 3 ? "SIGKILL" : "SIGTERM"));
  const order: Order = { upid, argv: [...argv] };
  worker.stdin?.on("error", () => {}).end(JSON.stringify(order));
  const status = await copyOutput(worker.stdout, log);
  if (worker.exitCode === null && worker.signalCode === null) await once(worker, "exit");
  await updateActive(upid, `1 ${hex(seconds())} ${status}`);
  logToCluster(`end task ${upid} ${status}`);
  return endOf(status);
}

function endOf(status: string): number {
  if (status === "OK") return 0;
  if (status.startsWith("WARNINGS: ")) {
    process.stderr.write(`Task finished with ${status.slice("WARNINGS: ".length)} warning(s)!\n`);
    return 0;
  }
  process.stderr.write(`${status}\n`);
  return 255;
}

/** The task's status: what its last line says. */
async function copyOutput(output: NodeJS.ReadableStream | null, log: string): Promise<string> {
  let status = "unexpected status";
  let rest = "";
  const take = (line: string) => {
    const [, error, warnings] = /^TASK (?:OK|ERROR: (.*)|WARNINGS: (\d+))$/s.exec(line.trimEnd()) ?? [];
    if (line === "TASK OK\n") status = "OK";
    else if (error !== undefined) status = error;
    else if (warnings !== undefined) status = `WARNINGS: ${warnings}`;
    else process.stdout.write(line);
    appendFileSync(log, error !== undefined || warnings !== undefined ? `\n${line}` : line);
  };
  for await (const chunk of output ?? []) {
    rest += chunk;
    for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
      take(rest.slice(0, end + 1));
      rest = rest.slice(end + 1);
    }
  }
  if (rest !== "") take(rest);
  return status;
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // it has ended
  }
}

export function logFile(upid: string): string {
  const start = upid.split(":")[4] ?? "0";
  return `${tasksDir}/${start.slice(-1)}/${upid}`;
}

/** Field 22 of /proc/PID/stat; undefined when there is no such process. */
export function startTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  } catch {
    return undefined;
  }
}

export function parseUpid(upid: string) {
  const [, owner = "", pid = "0", pstart = "0", start = "0", type = "", id = "", user = ""] = upid.split(":");
  return {
    node: owner,
    pid: Number.parseInt(pid, 16),
    pstart: Number.parseInt(pstart, 16),
    starttime: Number.parseInt(start, 16),
    type,
    id,
    user,
  };
}

export function isRunning(upid: string): boolean {
  const { pid, pstart } = parseUpid(upid);
  return startTicks(pid) === pstart;
}

/** The lines of `active`: `UPID 0` runs, or has died unnoticed. */
export function readActive(): { upid: string; rest: string }[] {
  const file = `${tasksDir}/active`;
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => ({ upid: line.split(" ")[0] ?? "", rest: line.slice(line.indexOf(" ") + 1) }));
}

async function updateActive(upid: string, rest: string): Promise<void> {
  await withFileLock(`${tasksDir}/.active.lock`, { timeoutS: 10 }, async () => {
    const others = readActive().filter((task) => task.upid !== upid);
    const ended: string[] = [];
    const all = [{ upid, rest }, ...others].map((task) => {
      if (
        task.rest !== "0" ||
        (task.upid !== upid && isRunning(task.upid)) ||
        (task.upid === upid && rest === "0")
      )
        return task;
      const noticed = { upid: task.upid, rest: `1 ${hex(seconds())} unexpected status` };
      ended.push(`${noticed.upid} ${noticed.rest.slice(2)}\n`);
      return noticed;
    });
    if (rest !== "0") ended.push(`${upid} ${rest.slice(2)}\n`);
    const running = all.filter((task) => task.rest === "0");
    const last = all.filter((task) => task.rest !== "0").slice(0, 25);
    replaceFile(
      `${tasksDir}/active`,
      [...running, ...last].map((task) => `${task.upid} ${task.rest}\n`).join(""),
    );
    appendFileSync(`${tasksDir}/index`, ended.join(""));
  });
}

type LogEntry = {
  uid: number;
  time: number;
  pri: number;
  tag: string;
  pid: number;
  node: string;
  user: string;
  msg: string;
};

function logToCluster(message: string): void {
  if (!hasQuorum()) return;
  const file = `${pve}/.clusterlog`;
  const log: { data: LogEntry[] } = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { data: [] };
  const entry = { pri: 6, tag: "pct", pid: process.pid, node, user: "root@pam", msg: message };
  log.data.unshift({ uid: (log.data[0]?.uid ?? 0) + 1, time: seconds(), ...entry });
  replaceFile(file, `${JSON.stringify({ data: log.data.slice(0, 50) })}\n`);
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
