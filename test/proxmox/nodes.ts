// What a test does with a node: turns its knobs, stops a worker at a stage, takes quorum away.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NexcageError } from "../../shared/errors.ts";
import { type TestHost, whyNoHosts } from "../hosts/hosts.ts";
import { type Knobs, pauseFile, type Stage } from "./knobs.ts";
import { knobsFile } from "./paths.ts";

export { busyboxTemplate } from "./equip.ts";
export type { Knobs, Stage } from "./knobs.ts";

const packages = { lxc: "/usr/bin/lxc-start", "busybox-static": "/bin/busybox", zstd: "/usr/bin/zstd" };

/** Why this machine cannot have test hosts with Proxmox; undefined where it can. */
export function whyNoProxmox(): string | undefined {
  const missing = Object.entries(packages).filter(([, program]) => !existsSync(program));
  if (missing.length > 0) return `not installed: ${missing.map(([name]) => name).join(" ")}`;
  return whyNoHosts();
}

/** Sets what the node's programs do from their next call on; what is not named is at rest. */
export async function turnKnobs(host: TestHost, knobs: Knobs): Promise<void> {
  await must(host, ["tee", knobsFile], JSON.stringify(knobs));
}

/** Who waits at a stage that `pauseAt` names, as pids of the host. */
export type Paused = { vmid: string; pct: number; worker: number };

/** Waits until a living worker has come to the stage. @throws {NexcageError} `TIMED_OUT` */
export async function waitForPause(
  host: TestHost,
  stage: Stage,
  { timeoutMs = 30_000 }: { timeoutMs?: number } = {},
): Promise<Paused> {
  // One program that looks, and not one a look; who was killed at this stage has left its note.
  const script = `file=$1 end=$(($(date +%s%3N) + $2))
until worker=$(sed -n 's/.*"worker":\\([0-9]*\\).*/\\1/p' "$file" 2>/dev/null) && [ -d "/proc/$worker" ] && [ "$worker" ]; do
  [ "$(date +%s%3N)" -lt "$end" ] || exit 1
  sleep 0.05
done
cat "$file"`;
  const { exitCode, stdout } = await host.exec(
    ["sh", "-c", script, "sh", pauseFile(stage), String(timeoutMs)],
    {
      timeoutMs: timeoutMs + 10_000,
    },
  );
  if (exitCode !== 0)
    throw new NexcageError("TIMED_OUT", `stage ${stage} on ${host.name}: not within ${timeoutMs} ms`);
  return JSON.parse(stdout);
}

/** Lets what waits at the stage go on. */
export async function goOn(host: TestHost, stage: Stage): Promise<void> {
  await must(host, ["rm", "-f", pauseFile(stage)]);
}

/** Who is killed: pct, it and its worker's group, as the recorded facts tell them apart, or who does a verb without a task. */
export type Killed = "pct" | "both" | "itself";

export async function killPaused(host: TestHost, paused: Paused, who: Killed): Promise<void> {
  const targets = { pct: [paused.pct], both: [paused.pct, -paused.worker], itself: [paused.worker] }[who];
  await must(host, ["kill", "-s", "KILL", "--", ...targets.map(String)]);
}

/**
 * From here on /etc/pve can be read, and whatever is written there gets EACCES, as without quorum; only the
 * mode of the link /etc/pve/local stays as it was, and what is removed there gets EOVERFLOW. `gainQuorum` ends it.
 */
export async function loseQuorum(host: TestHost): Promise<void> {
  await must(host, ["python3", join(import.meta.dirname, "lose-quorum.py"), "/etc/pve"]);
}

export async function gainQuorum(host: TestHost): Promise<void> {
  await must(host, ["umount", "/etc/pve"]);
}

async function must(host: TestHost, args: string[], input = ""): Promise<void> {
  const { exitCode, stderr } = await host.exec(args, { input });
  if (exitCode !== 0)
    throw new NexcageError("RUNTIME_FAILED", `${args.join(" ")} failed on ${host.name}: ${stderr}`);
}
