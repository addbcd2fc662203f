import { setTimeout as sleep } from "node:timers/promises";
import { NexcageError } from "../../../shared/errors.ts";
import type { Log } from "../../log.ts";
import { readText } from "../../state/files.ts";
import { findProcess } from "../../state/process.ts";

export type PctOptions = {
  log: Log;
  signal: AbortSignal;
  /** After it pct and its worker are ended, in ms. */
  timeoutMs: number;
};

/** `C.UTF-8`: under plain `C` pct destroys what is not ASCII in a description, in silence. */
const environment = {
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  LC_ALL: "C.UTF-8",
  HOME: "/root",
};
/** Another task on the same storage, or on the same guest, holds its lock for a moment. */
const busyTexts = /got (lock request )?timeout|trying to acquire/;
const busyTries = 5;

/**
 * Runs pct. Its exit status tells 0 or not 0 and no more, and 0 proves little: who calls looks at what is there.
 * @param words the verb, the guest's number, options
 * @throws {NexcageError} `RUNTIME_FAILED` with pct's own words, `LOCK_HELD`, `DISK_FULL`, `CONTAINER_EXISTS` for
 * a number that is taken, `TIMED_OUT`
 */
export async function pct(
  words: [verb: string, vmid: number, ...string[]],
  options: PctOptions,
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const { exitCode, stdout, stderr, timedOut } = await runOnce(words, options);
    options.signal.throwIfAborted();
    if (timedOut) throw hung(words, options.timeoutMs);
    if (exitCode === 0) return stdout;
    const error = failure(words, stderr, stdout);
    if (error.code !== "LOCK_HELD" || !busyTexts.test(stderr + stdout) || attempt === busyTries) throw error;
    await sleep(500 * attempt * (1 + Math.random()), undefined, { signal: options.signal });
  }
}

async function runOnce([verb, vmid, ...rest]: [string, number, ...string[]], options: PctOptions) {
  const result = await runProgram("pct", [verb, String(vmid), ...rest], options);
  if (result.timedOut) endWorkers(vmid, options.log);
  return result;
}

/** Runs a program of Proxmox's to its end, whatever that is. @throws {NexcageError} `BACKEND_UNAVAILABLE` */
export async function runProgram(
  program: "pct" | "pvesm" | "ha-manager" | "pveam",
  args: string[],
  options: PctOptions,
) {
  const { log, signal, timeoutMs } = options;
  log.debug({ program, arguments: args }, "a program of Proxmox's");
  const { execa } = await import("execa");
  const result = await execa(program, args, {
    env: environment,
    extendEnv: false,
    stdin: "ignore",
    reject: false,
    timeout: timeoutMs,
    cancelSignal: signal, // SIGTERM, which pct passes to its worker
    forceKillAfterDelay: 10_000,
  });
  if (result.code === "ENOENT")
    throw new NexcageError("BACKEND_UNAVAILABLE", `lxc: there is no ${program} on this host`, {
      hint: "is this a Proxmox VE host?",
    });
  return result;
}

/** A task of Proxmox's that still runs; `UPID:NODE:PID:PSTART:START:TYPE:VMID:USER:`, numbers in hex. */
type Worker = { pid: number; type: string };

/** The workers that are busy with a guest: a killed pct leaves its own at work. */
export function workersOf(vmid: number): Worker[] {
  const active = readText("/var/log/pve/tasks/active") ?? "";
  return active.split("\n").flatMap((line) => {
    const [, , pid = "", startTicks = "", , type = "", id] = line.split(":");
    if (id !== String(vmid)) return [];
    const found = findProcess(Number.parseInt(pid, 16), Number.parseInt(startTicks, 16));
    return found === undefined ? [] : [{ pid: found.pid, type }];
  });
}

/** Ends a guest's workers and all that they have started. */
export function endWorkers(vmid: number, log: Log): void {
  for (const { pid, type } of workersOf(vmid)) {
    log.warn({ vmid, pid, type }, "ending a task of Proxmox's that nobody waits for");
    for (const target of [-pid, pid])
      try {
        process.kill(target, "SIGKILL");
        break;
      } catch {
        // It leads no group, or has ended.
      }
  }
}

function failure(words: [string, number, ...string[]], stderr: string, stdout: string): NexcageError {
  const [verb, vmid] = words;
  // Complaints about a configuration's lines come first; the reason is last, and a usage text is none.
  const lines = stderr
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^(pct |\s|400 Parameter)/.test(line));
  const said = lines.at(-1) ?? stdout.trim().split("\n").at(-1) ?? "no reason given";
  // Of a start LXC's own words come on stdout, the nearest to the reason first.
  const [lxcSaid = ""] = /^startup for container/.test(said) ? stdout.trim().split("\n") : [];
  const message = `pct ${verb} ${vmid}: ${said}${lxcSaid === "" ? "" : `: ${lxcSaid}`}`;
  const details = { stderr: stderr.slice(-2048), stdout: stdout.slice(-2048) };
  const [, option, property] =
    /^Unknown option: (\S+)|\b([\w-]+): property is not defined in schema/m.exec(stderr) ?? [];
  const unknown = option ?? property;
  if (unknown !== undefined)
    return new NexcageError("SPEC_REFUSED", `pct ${verb} ${vmid}: this node's pct does not know ${unknown}`, {
      hint: "entrypoint, host-managed and OCI archives came with Proxmox VE 9.1; which this is: pveversion",
      details,
    });
  if (/^(CT|VM) \d+ already exists|CT \d+ already exists/.test(said))
    return new NexcageError("CONTAINER_EXISTS", message, { details });
  if (/CT is locked|got (lock request )?timeout/.test(said))
    return new NexcageError("LOCK_HELD", message, {
      hint: "Proxmox works on it: see its task log, and run it again after",
      details,
    });
  if (/No space left|not enough (free )?space|Disk quota/i.test(stderr + stdout))
    return new NexcageError("DISK_FULL", message, { hint: "make space: pvesm status", details });
  if (/no quorum/.test(said))
    return new NexcageError("RUNTIME_FAILED", message, {
      hint: "pvecm status tells which nodes are missing",
      details,
    });
  return new NexcageError("RUNTIME_FAILED", message, { details });
}

function hung([verb, vmid]: [string, number, ...string[]], timeoutMs: number): NexcageError {
  return new NexcageError("TIMED_OUT", `pct ${verb} ${vmid} did not end within ${timeoutMs / 1_000} s`, {
    hint: "it was ended; what it left is mended by the next apply",
  });
}
