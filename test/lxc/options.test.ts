import { proxmoxTest } from "../e2e/host-test.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, small } from "./bed.ts";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@home";
const proxmox = {
  ...small,
  ...{
    cores: 1,
    cpuunits: 50,
    pool: "nexcage",
    nameserver: ["10.77.50.1", "fd00::1"],
    searchdomain: "example.com",
  },
  ...{ timezone: "host", ssh_public_keys: key, idmap: ["u 0 100000 65536", "g 0 100000 65536"] },
};

proxmoxTest(
  "devices, cores, DNS, pool, ssh keys and id maps are in the configuration and in the container",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeProxmox();
    const config = async () => await onHost(bed, "cat /etc/pve/lxc/100.conf");
    const inside = async (...words: string[]) =>
      (await bed.nexcage("fleet", "exec", "db", "--", ...words)).stdout;
    const apply = async (fields: object, costs: RegExp) => {
      await bed.writeFleet({ db: guest(fields) });
      t.regex((await bed.nexcage("fleet", "plan")).stdout, costs);
      const { exitCode, stdout, stderr } = await bed.nexcage("fleet", "apply", "--yes");
      t.is(exitCode, 0, stdout + stderr);
      t.notRegex(await config(), /pve:pending/);
      await requireNothingToDo(t, bed);
    };
    await apply({ proxmox, devices: ["/dev/null"] }, /create +db/);
    const lines = [
      ...["cores: 1", "cpuunits: 50", "dev0: /dev/null", "nameserver: 10.77.50.1 fd00::1", "timezone: host"],
      ...["searchdomain: example.com", "lxc.idmap: u 0 100000 65536", "lxc.idmap: g 0 100000 65536"],
    ];
    for (const line of lines) t.true((await config()).split("\n").includes(line), line);
    t.is(await onHost(bed, "grep ^pool: /etc/pve/user.cfg"), "pool:nexcage::100::");
    t.is(await inside("cat", "/root/.ssh/authorized_keys"), key);
    t.regex(
      await inside("cat", "/etc/resolv.conf"),
      /search example.com\nnameserver 10.77.50.1\nnameserver fd00::1/,
    );

    const devices = ["/dev/null", { path: "/dev/fuse", mode: "0666" }];
    await apply({ proxmox: { ...proxmox, cores: 2 }, devices }, /update +db .*hot/);
    t.regex(await config(), /^cores: 2$/m);
    t.is(await inside("stat", "-c", "%F", "/dev/fuse"), "character special file");

    const { idmap: _, nameserver: __, ...rest } = proxmox;
    await apply({ proxmox: rest }, /update +db .*restart/);
    t.notRegex(await config(), /^(lxc\.idmap|nameserver|dev\d)/m, "what is not said any more is taken away");
  },
);

proxmoxTest(
  "a device, a pool or a volume's storage that there is not is told before anything is made",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({
      device: guest({ devices: ["/dev/nothing"] }),
      pool: guest({ proxmox: { ...small, pool: "shop" } }),
    });
    const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
    t.is(exitCode, 1);
    t.regex(stdout, /devices: \/dev\/nothing does not exist on this host/);
    t.regex(stdout, /proxmox\.pool: there is no pool shop\n.*those that there are: nexcage/);
    const volumes = [{ type: "volume", source: "a", target: "/a", size: "16m", storage: "tank" }];
    await bed.writeFleet({ volume: guest({ volumes }) });
    const refused = await bed.nexcage("fleet", "apply");
    t.is(refused.exitCode, 9);
    t.regex(refused.stderr, /volumes\.a: tank is no storage of this node that holds containers/);
    t.is(await onHost(bed, "pct list"), "");
  },
);

proxmoxTest("a read-only root has its mounts made with it, and another one means a new root", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const volumes = [{ type: "volume", source: "data", target: "/data", size: "64m" }];
  await bed.writeFleet({ db: guest({ read_only: true, volumes, tmpfs: ["/scratch"] }) });
  t.regex((await bed.nexcage("fleet", "apply")).stdout, /Read-only file system .*\/scratch"/, "LXC's reason");
  await bed.writeFleet({ db: guest({ read_only: true, volumes, tmpfs: ["/tmp"] }) });
  const made = await bed.nexcage("fleet", "apply");
  t.is(made.exitCode, 0, made.stdout + made.stderr);
  await onHost(bed, "pct exec 100 -- touch /data/kept /tmp/file");
  t.regex(await onHost(bed, "pct exec 100 -- touch /file"), /Read-only file system/);
  await requireNothingToDo(t, bed);

  const more = [...volumes, { type: "bind", source: "/srv", target: "/srv" }];
  await bed.writeFleet({ db: guest({ read_only: true, volumes: more, tmpfs: ["/tmp"] }) });
  const plan = await bed.nexcage("fleet", "plan");
  t.regex(plan.stdout, /replace +db .*volumes changed · recreate/);
  const replaced = await bed.nexcage("fleet", "apply", "--yes");
  t.is(replaced.exitCode, 0, replaced.stdout + replaced.stderr);
  t.regex(await onHost(bed, "pct exec 101 -- mount"), / on \/srv /);
  t.is(await onHost(bed, "pct exec 101 -- ls /data/kept"), "/data/kept");
  await requireNothingToDo(t, bed);
});
