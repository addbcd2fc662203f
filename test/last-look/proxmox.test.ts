import { proxmoxTest } from "../e2e/host-test.ts";
import { guest, makeProxmox, onHost } from "../lxc/bed.ts";
import { find, type HostChange, look, lookClosely, noTrace, settle, traceLook } from "./look.ts";

const changes: HostChange[] = [
  {
    title: "somebody has changed its configuration",
    change: "pct set 100 --memory 96",
    sees: (seen) => find(seen, "web")?.drift?.length === 1,
  },
  {
    title: "it has been paused by its cgroup",
    change: "echo FROZEN >/sys/fs/cgroup/freezer/lxc/100/freezer.state; sleep 0.2",
    sees: (seen) => find(seen, "web")?.state.status === "paused",
  },
  {
    title: "it goes on",
    change: "echo THAWED >/sys/fs/cgroup/freezer/lxc/100/freezer.state; sleep 0.2",
    sees: (seen) => find(seen, "web")?.state.status === "running",
  },
  {
    title: "another guest has come",
    change:
      "pct create 300 local:vztmpl/$(ls /var/lib/vz/template/cache | head -n 1) --rootfs local:1 >/dev/null",
    sees: (seen) => seen.containers.length === 1,
  },
  {
    title: "a bridge has come",
    change: "ip link add vmbr77 type bridge",
    sees: (seen) => seen.containers.length === 1,
  },
  {
    title: "it has been stopped",
    change: "pct stop 100",
    sees: (seen) => find(seen, "web")?.state.status === "stopped",
  },
  {
    title: "it has been started",
    change: "pct start 100",
    sees: (seen) => find(seen, "web")?.state.status === "running",
  },
  {
    title: "its console has written more than may stay",
    change: "head -c 20000000 /dev/urandom | base64 >>/var/log/nexcage/web.console",
    sees: (seen) => find(seen, "web")?.state.status === "running",
  },
  {
    title: "it has been destroyed",
    change: "pct destroy 100 --force >/dev/null",
    sees: (seen) => seen.containers.length === 0,
  },
];

/** How a guest's init is found; that it is still there is kept. */
const ofInit = /^\/proc\/\d+\/status$|^\/sys\/fs\/cgroup\/freezer\/lxc\/100\/ns/;

proxmoxTest("all that a look at a Proxmox node reads is kept with it", async (t) => {
  if (noTrace !== undefined) {
    t.log(noTrace);
    t.pass();
    return;
  }
  t.timeout(120_000);
  await using bed = await makeProxmox();
  const host = bed.host("pve1");
  await bed.writeFleet({ web: guest() });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await settle(t, host);
  const { read, notKept } = await traceLook(host);
  t.true(read.includes("/etc/pve/lxc/100.conf"));
  t.deepEqual(
    notKept.filter((path) => !ofInit.test(path)),
    [],
  );
});

proxmoxTest(
  "a Proxmox node that is as it was answers without Node, and sees whatever becomes of a guest",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    const host = bed.host("pve1");
    await bed.writeFleet({
      web: guest({
        command: ["/bin/sh", "-c", "sleep 100000 & exec sleep 100000"],
        resources: { memory: "64m" },
      }),
    });
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stderr + applied.stdout);
    t.is(find(await settle(t, host), "web")?.state.status, "running");
    for (const { title, change, sees } of changes) {
      t.is(await onHost(bed, change), "", title);
      const seen = await look(host);
      t.truthy(sees(seen), `${title}: ${JSON.stringify(seen.containers)}`);
      t.is(seen.by, "Node", title);
      t.deepEqual(seen.containers, (await lookClosely(host)).containers, title);
      t.deepEqual((await settle(t, host)).containers, seen.containers, title);
    }
    const { stdout } = await host.exec(["du", "-k", "/var/log/nexcage/web.console"]);
    t.true(Number.parseInt(stdout, 10) < 13_000, "the console's log was seen to");
  },
);
