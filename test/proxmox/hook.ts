// What LXC's hooks and the unit of a container call: nobody does by hand.
import { rmSync } from "node:fs";
import { findConf } from "./cluster.ts";
import { prepareStart } from "./lxc.ts";
import { applyPending } from "./verbs/set.ts";

/** `pending VMID` after its end; `prestart VMID` before the unit starts it again. */
export async function hook([what = "", vmid = ""]: string[]): Promise<number> {
  if (findConf(vmid) === undefined) return 1;
  const conf = await applyPending(vmid);
  if (what !== "prestart") return 0;
  if (conf.values.has("lock")) return 1;
  rmSync(`/var/lib/lxc/${vmid}/reboot`, { force: true });
  await prepareStart(vmid, conf);
  return 0;
}
