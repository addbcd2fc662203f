import type { Bed } from "../e2e/bed.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { busyboxTemplate, turnKnobs } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, small, traces } from "./bed.ts";

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

/** A mirror of pveam's that has one template; `checksum` is what its index says, if not the truth. */
async function makeMirror(bed: Bed, { checksum = "$sum" } = {}): Promise<void> {
  await onHost(
    bed,
    `cd /var/lib/pve-manager/mirror && cp ${cache}/busybox-1_amd64.tar.zst busybox-2_2.0-1_amd64.tar.zst
    sum=$(sha512sum busybox-2_2.0-1_amd64.tar.zst | cut -d' ' -f1)
    echo "system busybox-2_2.0-1_amd64.tar.zst amd64 ${checksum}" > index`,
  );
}

/** Has each call of pveam written down. */
async function countCalls(bed: Bed): Promise<void> {
  await onHost(
    bed,
    `mv /usr/sbin/pveam /usr/sbin/pveam.real
    printf '#!/bin/sh\necho "$@" >> /run/pveam-calls\nexec pveam.real "$@"\n' > /usr/sbin/pveam
    chmod 755 /usr/sbin/pveam`,
  );
}

const wanted = (name: string): object =>
  guest({ template: name, proxmox: { ...small, template_download: true } });

proxmoxTest(
  "a template that the host does not have is downloaded once, and the plan says so before",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    await makeMirror(bed);
    await countCalls(bed);
    await bed.writeFleet({ one: wanted("busybox-2"), two: wanted("busybox-2") });
    const plan = await bed.nexcage("fleet", "plan");
    t.is(plan.stdout.match(/downloads template busybox-2 to storage local \(pveam\)\n/g)?.length, 2);
    t.is(await onHost(bed, "cat /run/pveam-calls 2>/dev/null"), "", "who looks runs no program");
    await turnKnobs(bed.host("pve1"), { delayMs: 300 }); // a step is told once it lasts
    const apply = await bed.nexcage("fleet", "apply", "--verbose");
    t.is(apply.exitCode, 0, apply.stdout + apply.stderr);
    t.regex(apply.stderr, /downloading busybox-2_2\.0-1_amd64\.tar\.zst/);
    const calls = await onHost(bed, "cat /run/pveam-calls");
    t.is(calls, "update\navailable\ndownload local busybox-2_2.0-1_amd64.tar.zst");
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest(
  "a template that pveam does not know, or that is not what it should be, makes no container",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ one: wanted("busybox-2") });
    const none = await bed.nexcage("fleet", "apply");
    t.is(none.exitCode, 1);
    t.regex(none.stdout, /one@pve1: IMAGE_MISSING: template: pveam knows no busybox-2\n.*update failed/);

    await makeMirror(bed, { checksum: "0".repeat(128) });
    await bed.writeFleet({ one: wanted("busybox-2"), other: wanted("busybox-9") });
    const wrong = await bed.nexcage("fleet", "apply");
    t.regex(wrong.stdout, /one@pve1: IMAGE_MISSING: template: pveam download .*: checksum mismatch/);
    t.regex(wrong.stdout, /other@pve1: .*pveam knows no busybox-9\n.*it knows busybox-2_2\.0-1/);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
    t.is(await onHost(bed, `ls ${cache}`), "busybox-1_amd64.tar.zst");
  },
);

proxmoxTest("what an image was packed as goes with the image, once no container uses it", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const archives = "find /var/lib/nexcage/images -name 'template.tar.zst*'";
  const app = (command: string[]): object => ({
    runtime: "lxc",
    rootfs: "./rootfs",
    host: "pve1",
    command,
    proxmox: small,
  });
  const fields = { stop_grace_period: "1s" };
  await bed.writeFleet(
    { one: { ...app(["sleep", "1000"]), ...fields }, two: { ...app(["sleep", "2000"]), ...fields } },
    { prune: true },
  );
  const first = await bed.nexcage("fleet", "apply");
  t.is(first.exitCode, 0, first.stdout + first.stderr);
  t.regex(await onHost(bed, archives), /^\S+\/template\.tar\.zst$/, "one for both");
  t.is((await bed.nexcage("fleet", "delete", "one", "--yes")).exitCode, 0);
  t.regex(await onHost(bed, archives), /^\S+\/template\.tar\.zst$/, "the other still has it");
  t.is((await bed.nexcage("fleet", "delete", "two", "--yes")).exitCode, 0);
  t.is(await onHost(bed, archives), "");
});
