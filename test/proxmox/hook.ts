// What LXC's hooks and the unit of a container call: nobody does by hand.
import { rmSync } from "node:fs";
import { findConf, listGuests } from "./cluster.ts";
import { dutyOf } from "./ha.ts";
import { isRunning, prepareStart } from "./lxc.ts";
import { node } from "./paths.ts";
import { pct } from "./pct.ts";
import { applyPending } from "./verbs/set.ts";

/** `pending VMID` after its end; `prestart VMID` before the unit starts it again; `startall` when the node boots; `lrm`. */
export async function hook([what = "", vmid = "", timeoutS = "60"]: string[]): Promise<number> {
  if (what === "startall") return await startAll();
  if (findConf(vmid) === undefined) return 1;
  if (what === "lrm") {
    const duty = dutyOf(vmid, { running: isRunning(vmid), timeoutS });
    return duty === undefined ? 0 : await pct(duty);
  }
  const conf = await applyPending(vmid);
  if (what !== "prestart") return 0;
  if (conf.values.has("lock")) return 1;
  rmSync(`/var/lib/lxc/${vmid}/reboot`, { force: true });
  await prepareStart(vmid, conf);
  return 0;
}

async function startAll(): Promise<number> {
  for (const [vmid, { node: owner, type }] of listGuests()) {
    const isOurs = owner === node && type === "lxc";
    if (isOurs && findConf(vmid)?.values.get("onboot") === "1") await pct(["start", vmid]).catch(() => {});
  }
  return 0;
}
