import { join } from "node:path";
import type { Bed } from "../e2e/bed.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { guest, makeProxmox, onHost, requireNothingToDo } from "./bed.ts";

/** What `pct migrate --restart` comes to: the configuration and the volumes are on the other node, and it runs there. */
async function migrate(bed: Bed, vmid: number, { from, to }: { from: string; to: string }): Promise<void> {
  const luggage = join(bed.folder, "luggage");
  const conf = `/etc/pve/nodes/${to}/lxc/${vmid}.conf`;
  const images = `/var/lib/vz/images/${vmid}`;
  await onHost(
    bed,
    `set -e; pct stop ${vmid}; mkdir -p ${luggage} /etc/pve/nodes/${to}/lxc
    mv /etc/pve/lxc/${vmid}.conf ${conf}; cp ${conf} ${luggage}; cp -r --sparse=always ${images} ${luggage}/images; rm -r ${images}`,
    from,
  );
  await onHost(
    bed,
    `set -e; rm -f /etc/pve/nodes/${from}/lxc/${vmid}.conf; cp -r --sparse=always ${luggage}/images ${images}
    cp ${luggage}/${vmid}.conf ${conf}; mkdir -p /var/log/nexcage; pct start ${vmid}; rm -r ${luggage}`,
    to,
  );
}

proxmoxTest(
  "a guest that Proxmox has migrated is the fleet's on its new node, and no double is made",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeProxmox(["pve1", "pve2", "pve3"]);
    const db = {
      environment: { GREETING: "é a=b" },
      labels: { team: "shop" },
      resources: { memory: "64m" },
      networks: [{ name: "eth0", ip: "10.77.50.30/24" }],
    };
    await bed.writeFleet({ db: guest(db) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await migrate(bed, 100, { from: "pve1", to: "pve2" });

    const stale = await bed.nexcage("fleet", "apply", "--yes");
    t.is(stale.exitCode, 1, stale.stdout);
    t.regex(stale.stdout, /CONTAINER_EXISTS: db was migrated from pve1 to pve2, as 100\n.*name its new host/);
    t.is(await onHost(bed, "pct list"), "", "nothing beside it");
    t.regex(await onHost(bed, "pct list", "pve2"), /100 +running/);

    await bed.writeFleet({ db: guest({ ...db, host: "pve2" }) });
    await requireNothingToDo(t, bed);
    const state = JSON.parse((await bed.nexcage("fleet", "state", "db")).stdout);
    t.like(state.annotations, { team: "shop", "io.nexcage.fleet": "shop", "io.nexcage.host": "pve2" });
    t.is(await onHost(bed, "ls /var/lib/nexcage/containers", "pve2"), "db.json", "its record is there again");

    await migrate(bed, 100, { from: "pve2", to: "pve3" });
    const staleAgain = await bed.nexcage("fleet", "apply", "--yes");
    t.regex(staleAgain.stdout, /CONTAINER_EXISTS: db was migrated from pve2 to pve3, as 100/);

    const larger = { ...db, resources: { memory: "96m" } };
    await bed.writeFleet({ db: guest({ ...larger, host: "pve3" }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    t.regex(await onHost(bed, "cat /etc/pve/lxc/100.conf", "pve3"), /^memory: 96$/m);

    await migrate(bed, 100, { from: "pve3", to: "pve1" });
    await bed.writeFleet({ db: guest(larger) });
    await requireNothingToDo(t, bed);
  },
);
