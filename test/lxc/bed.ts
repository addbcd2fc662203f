import type { ExecutionContext } from "ava";
import { type Bed, makeBed } from "../e2e/bed.ts";
import {
  goOn,
  type Killed,
  killPaused,
  type Stage,
  busyboxTemplate as template,
  turnKnobs,
  waitForPause,
} from "../proxmox/nodes.ts";

export const small = { rootfs_size: "128m" };

/** A Proxmox container that a fleet wants. */
export const guest = (fields: object = {}): object => ({
  runtime: "lxc",
  template,
  host: "pve1",
  stop_grace_period: "5s",
  proxmox: small,
  ...fields,
});

export async function makeProxmox(names: string[] = ["pve1"]): Promise<Bed> {
  return await makeBed(names, { proxmox: true });
}

export async function onHost(bed: Bed, script: string, name = "pve1"): Promise<string> {
  const { stdout, stderr } = await bed.host(name).exec(["sh", "-c", script]);
  return (stdout + stderr).trim();
}

/** Runs a command until Proxmox is at a stage, kills the agent and who is there, and gives back how the command ends. */
export async function cutOff(bed: Bed, stage: Stage, who: Killed | "agent", ...args: string[]) {
  const host = bed.host("pve1");
  await turnKnobs(host, { pauseAt: [stage] });
  const running = bed.start(args);
  const paused = await waitForPause(host, stage);
  await turnKnobs(host, {});
  await host.exec(["pkill", "-KILL", "-f", "serve --stdio"]);
  if (who !== "agent") await killPaused(host, paused, who);
  await goOn(host, stage);
  return await running;
}

/** What there is of guests: their numbers, their volumes, what is mounted or looped of them. */
export async function traces(bed: Bed): Promise<{ guests: string[]; volumes: string[]; loose: string[] }> {
  const script = `ls /etc/pve/lxc | sed 's/^/guest /; s/.conf$//'
find /var/lib/vz /var/lib/vz2 -name '*disk*' | sed 's/^/volume /'
ls /var/lib/nexcage/claims /var/lib/nexcage/volume-claims 2>/dev/null | grep json | sed 's/^/loose /'
cut -d' ' -f2 /proc/mounts | grep /var/lib/lxc/ | sed 's/^/loose /'`;
  const lines = (await onHost(bed, script)).split("\n").map((line) => line.split(" "));
  const named = (kind: string): string[] =>
    lines.filter(([first]) => first === kind).map(([, name = ""]) => name);
  return { guests: named("guest"), volumes: named("volume"), loose: named("loose") };
}

export async function requireNothingToDo(t: ExecutionContext, bed: Bed): Promise<void> {
  const again = await bed.nexcage("fleet", "plan", "--detailed-exitcode");
  t.is(again.exitCode, 0, again.stdout + again.stderr);
}
