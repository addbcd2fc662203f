import { proxmoxTest } from "../e2e/host-test.ts";
import { busyboxTemplate } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, requireNothingToDo } from "./bed.ts";

const cache = "/var/lib/vz/template/cache";

proxmoxTest(
  "a template by name is the one that the plan says, and a newer one on the host changes nothing",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeProxmox();
    await onHost(bed, `touch ${cache}/busybox-1_arm64.tar.zst ${cache}/busybox-1_9_amd64.tar.zst.tmp_dwnl.7`);
    await bed.writeFleet({ one: guest({ template: "busybox-1" }) });
    const { stdout } = await bed.nexcage("fleet", "plan");
    t.true(stdout.includes(`template busybox-1 is ${busyboxTemplate}\n`), stdout);
    const apply = await bed.nexcage("fleet", "apply");
    t.is(apply.exitCode, 0, apply.stdout + apply.stderr);
    t.regex((await bed.nexcage("fleet", "status")).stdout, /one +pve1 +running/);
    await onHost(bed, `cp ${cache}/busybox-1_amd64.tar.zst ${cache}/busybox-1_2.0-1_amd64.tar.zst`);
    await requireNothingToDo(t, bed);
  },
);
