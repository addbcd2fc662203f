// Starting and stopping with the real LXC, and asking what runs (the recorded facts, "start", "stop, shutdown").
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Conf } from "./conf.ts";
import { Failure } from "./failure.ts";
import { writeGuestFiles } from "./guest-files.ts";
import { writeLxcConfig } from "./lxc-config.ts";
import { interfaces, requireBridge } from "./networks.ts";
import { lxcDir } from "./paths.ts";
import { runAnyway } from "./run.ts";
import { mountVolumes, unmountVolumes } from "./volumes.ts";

/** Who runs, by pct's own test: a listening abstract socket. */
export function isRunning(vmid: string): boolean {
  return readFileSync("/proc/net/unix", "utf8").includes(` @/var/lib/lxc/${vmid}/command\n`);
}

/** `lxc-info`'s word: `RUNNING`, `STOPPED`, …; undefined where it knows nothing. */
export async function lxcState(vmid: string): Promise<string | undefined> {
  const { code, output } = await runAnyway("lxc-info", ["-n", vmid, "-s", "-H"], {
    output: "capture",
    deaf: true,
  });
  return code === 0 ? output.trim() : undefined;
}

/** The init's pid on the host. */
export async function initPid(vmid: string): Promise<string | undefined> {
  const { output } = await runAnyway("lxc-info", ["-n", vmid, "-p", "-H"], { output: "capture", deaf: true });
  return /^\d+\s*$/.test(output) ? output.trim() : undefined;
}

/** What the pre-start hook does: config, volumes, files inside. */
export async function prepareStart(vmid: string, conf: Conf): Promise<void> {
  for (const each of interfaces(conf)) requireBridge(each);
  writeLxcConfig(vmid, conf);
  await mountVolumes(vmid, conf);
  writeGuestFiles(vmid, conf);
}

/**
 * Starts LXC in a unit of its own and returns when it says RUNNING.
 * @throws {Failure} `startup for container 'N' failed`, with LXC's lines on stdout
 */
export async function startContainer(
  vmid: string,
  conf: Conf,
  { signal }: { signal: AbortSignal },
): Promise<void> {
  await waitForUnit(vmid, { signal });
  try {
    await prepareStart(vmid, conf);
  } catch (error) {
    await unmountVolumes(vmid);
    throw error;
  }
  mkdirSync("/run/pve", { recursive: true });
  rmSync(stderrFile(vmid), { force: true });
  for (const file of [stopFile(vmid), `${lxcDir(vmid)}/reboot`]) rmSync(file, { force: true });
  const log = openSync(stderrFile(vmid), "a");
  const unit = spawn("sh", [`${import.meta.dirname}/unit.sh`, vmid], {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: "/",
    env: { PATH: process.env.PATH },
  });
  unit.unref();
  let hasEnded = false;
  once(unit, "exit").then(
    () => {
      hasEnded = true;
    },
    () => {},
  );
  while ((await lxcState(vmid)) !== "RUNNING") {
    if (signal.aborted) throw new Failure("received interrupt");
    if (hasEnded) throw startFailure(vmid);
    await sleep(10);
  }
}

function stderrFile(vmid: string): string {
  return `/run/pve/ct-${vmid}.stderr`;
}

function startFailure(vmid: string): Failure {
  const lines = readFileSync(stderrFile(vmid), "utf8").replaceAll(/^lxc-start: \S+ (\S+: )?/gm, "");
  process.stdout.write(lines);
  // It came up and its init ended at once: LXC has nothing to complain of.
  if (lines === "") return new Failure(`unable to get PID for CT ${vmid} (not running?)`);
  return new Failure(`startup for container '${vmid}' failed`);
}

/** Until the post-stop hook is over. */
export async function waitForUnit(vmid: string, { signal }: { signal: AbortSignal }): Promise<void> {
  while (hasUnit(vmid)) {
    if (signal.aborted) throw new Failure("received interrupt");
    await sleep(10);
  }
}

function hasUnit(vmid: string): boolean {
  const file = `/run/pve/ct-${vmid}.unit`;
  if (!existsSync(file)) return false;
  try {
    const pid = readFileSync(file, "utf8").trim();
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes(vmid);
  } catch {
    return false;
  }
}

/** SIGKILL to init, no grace. On cgroup v1 it hangs while the container is frozen, as LXC does. */
export async function killContainer(vmid: string, { signal }: { signal: AbortSignal }): Promise<void> {
  forbidRestart(vmid);
  while (isRunning(vmid)) {
    if (signal.aborted) throw new Failure("received interrupt");
    await runAnyway("lxc-stop", ["-n", vmid, "--kill"], { output: "capture", signal });
  }
  await waitForUnit(vmid, { signal });
}

/** A unit that is being stopped does not start again, whatever its container's init asks for. */
export function forbidRestart(vmid: string): void {
  writeFileSync(stopFile(vmid), "");
}

function stopFile(vmid: string): string {
  return `/run/pve/ct-${vmid}.stop`;
}
