import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { proxmoxTest } from "../e2e/host-test.ts";
import { goOn, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost } from "./bed.ts";

proxmoxTest(
  "eight controllers that make forty containers at once on one host get forty different numbers",
  async (t) => {
    t.timeout(1_200_000);
    await using bed = await makeProxmox();
    const fleets = Array.from({ length: 8 }, (_, index) => `fleet${index}`);
    for (const name of fleets) {
      await bed.writeFleet({ [name]: guest({ replicas: 5 }) }, { name });
      await writeFile(join(bed.folder, `${name}.yaml`), await readFile(join(bed.folder, "fleet.yaml")));
    }
    const files = (name: string): string[] => ["-f", "inventory.yaml", "-f", `${name}.yaml`];
    const ended = await Promise.all(fleets.map((name) => bed.start(["fleet", "apply", ...files(name)])));
    for (const { exitCode, stdout } of ended) t.is(exitCode, 0, String(stdout));
    const numbers = Array.from({ length: 40 }, (_, index) => String(100 + index));
    t.deepEqual((await onHost(bed, "pct list | tail -n +2 | cut -d' ' -f1")).split("\n"), numbers);
    t.is(await onHost(bed, "pct list | grep -c running"), "40");
    t.is(await onHost(bed, "ls /var/lib/nexcage/claims"), "");
    const again = await bed.nexcage("fleet", "plan", "--detailed-exitcode", ...files("fleet7"));
    t.is(again.exitCode, 0, again.stdout);
  },
);

proxmoxTest(
  "on one storage one container is made at a time, or as many as storage_parallel says",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeProxmox();
    const host = bed.host("pve1");
    const claimed = async (): Promise<string> =>
      await onHost(bed, "sleep 3; grep -l '^lock: create' /etc/pve/lxc/*.conf | wc -l");
    for (const [storageParallel, atOnce] of [
      [undefined, "1"],
      [2, "2"],
    ] as const) {
      await bed.writeInventory(
        {},
        storageParallel === undefined ? {} : { concurrency: { storage_parallel: storageParallel } },
      );
      await bed.writeFleet({ db: guest({ replicas: 3 }) });
      await turnKnobs(host, { pauseAt: ["create.volume"] });
      const running = bed.start(["fleet", "apply"]);
      await waitForPause(host, "create.volume");
      t.is(await claimed(), atOnce);
      await turnKnobs(host, {});
      await goOn(host, "create.volume");
      const { exitCode, stdout } = await running;
      t.is(exitCode, 0, String(stdout));
      t.is((await bed.nexcage("fleet", "delete", "*", "--yes")).exitCode, 0);
    }
  },
);
