import { proxmoxTest } from "../e2e/host-test.ts";
import { type Random, random } from "../plan/random.ts";
import { busyboxTemplate } from "../proxmox/nodes.ts";
import { makeProxmox, onHost, requireNothingToDo, traces } from "./bed.ts";

/** Any one container of Proxmox's that is valid: each word is there as often as not. */
function anyGuest({ chance, pick, below, shuffled }: Random, number: number): object {
  const often = (words: object): object => (chance(0.5) ? words : {});
  const some = <Item>(items: readonly Item[]): Item[] => shuffled(items).slice(0, 1 + below(items.length));
  const network = (name: string, index: number): object => ({
    name,
    ...often({ bridge: pick(["vmbr0", "vmbr50"]) }),
    ...often({ ip: `10.77.${60 + index}.${number + 10}/24`, ...often({ gateway: `10.77.${60 + index}.1` }) }),
    ...often({ ip6: pick([`FD00:${index}::${number + 10}/64`, "auto", "dhcp"]) }),
    ...often({ mac: `02:00:00:00:0${index}:${String(number + 10)}` }),
    ...often({ mtu: pick([1280, 1400]), firewall: chance(0.5) }),
  });
  return {
    ...{ runtime: "lxc", template: busyboxTemplate, host: "pve1", stop_grace_period: "2s" },
    ...often({
      resources: {
        memory: pick(["64m", "96MiB"]),
        swap: pick(["0", "32m"]),
        ...often({ cpus: pick([0.5, "1.50"]) }),
        ...often({ pids: 64 }),
      },
    }),
    ...often({ networks: ["eth0", "eth1"].slice(0, 1 + below(2)).map(network) }),
    ...often({ environment: { A: pick(["", "a b", "x=y", 'it\'s "q" $HOME']), ...often({ NUMBER: 1.1 }) } }),
    ...often({ hostname: pick(["Web", "db.example"]), labels: { team: "a b" } }),
    ...often({
      volumes: some([
        { type: "volume", source: "data", target: "/data", size: "8m" },
        "/srv:/host/srv:ro",
        {
          type: "volume",
          source: "logs",
          target: "/logs/",
          size: "9m",
          backup: true,
          read_only: chance(0.5),
        },
      ]),
    }),
    ...often({ tmpfs: ["/scratch"], cap_drop: some(["SYS_TIME", "CAP_NET_RAW"]) }),
    ...often({
      devices: some(["/dev/fuse", { path: "/dev/net/tun", mode: "0666", uid: 5, deny_write: chance(0.5) }]),
    }),
    ...often({ stop_signal: pick(["TERM", "SIGINT"]) }),
    proxmox: {
      rootfs_size: "48m",
      ...often({
        unprivileged: chance(0.7),
        features: { nesting: chance(0.5), keyctl: chance(0.5), fuse: true },
      }),
      ...often({
        onboot: chance(0.5),
        startup: { order: below(3), ...often({ up: below(9) }), ...often({ down: 0 }) },
      }),
      ...often({ tags: some(["Zeta", "alpha", "b+c"]), protection: false }),
      ...often({ cores: 1, cpuunits: pick([2, 100, 10_000]) }),
      ...often({ nameserver: some(["10.77.50.1", "FD00:0::1"]), searchdomain: some(["lan", "Example.com"]) }),
      ...often({ timezone: "host", storage: pick(["local", "local2"]) }),
      ...often(pick([{ vmid: 2000 + number }, { vmid_range: "3000-3099" }])),
    },
  };
}

for (const seed of [1, 2, 3])
  proxmoxTest(`five random containers (seed ${seed}), applied, leave nothing to do`, async (t) => {
    t.timeout(400_000);
    await using bed = await makeProxmox();
    const source = random(seed);
    await onHost(bed, "mkdir -p /srv");
    const first = Object.fromEntries(
      [0, 1, 2, 3, 4].map((number) => [`c${number}`, anyGuest(source, number)]),
    );
    await bed.writeFleet(first);
    const { exitCode, stdout, stderr } = await bed.nexcage("fleet", "apply");
    t.is(exitCode, 0, `${stdout}${stderr}\n${JSON.stringify(first, undefined, 1)}`);
    await requireNothingToDo(t, bed);
    t.notRegex(await onHost(bed, "cat /etc/pve/lxc/*.conf"), /pve:pending/);
    const deleted = await bed.nexcage("fleet", "delete", "*", "--yes");
    t.is(deleted.exitCode, 0, deleted.stdout + deleted.stderr);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  });
