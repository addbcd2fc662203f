import type { ExecutionContext } from "ava";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { busyboxTemplate as template } from "../proxmox/nodes.ts";

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

/** What there is of guests: their numbers, their volumes, what is mounted or looped of them. */
export async function traces(bed: Bed): Promise<{ guests: string[]; volumes: string[]; loose: string[] }> {
  const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);
  return {
    guests: words(await onHost(bed, "pct list | tail -n +2 | cut -d' ' -f1")),
    volumes: words(await onHost(bed, "find /var/lib/vz /var/lib/vz2 -name '*disk*'")),
    loose: words(
      await onHost(
        bed,
        "ls /var/lib/nexcage/claims 2>/dev/null; cut -d' ' -f2 /proc/mounts | grep /var/lib/lxc/",
      ),
    ),
  };
}

export async function requireNothingToDo(t: ExecutionContext, bed: Bed): Promise<void> {
  const again = await bed.nexcage("fleet", "plan", "--detailed-exitcode");
  t.is(again.exitCode, 0, again.stdout + again.stderr);
}
