import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { describeGuest, requireAdoptable } from "../../agent/backends/lxc/describe.ts";
import { parseGuestConfig } from "../../agent/backends/lxc/guest-config.ts";
import { wordsOf } from "../../controller/adopt/yaml.ts";
import { ContainerSpec } from "../../shared/spec.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { busyboxTemplate } from "../proxmox/nodes.ts";
import { makeProxmox, onHost, requireNothingToDo, traces } from "./bed.ts";

const full = `#mail: ops%40example.com
arch: amd64
cores: 2
cpulimit: 1.5
entrypoint: /bin/sh -c "echo 'a b'"
features: nesting=1,keyctl=0
hostname: db.example
memory: 256
mp0: /srv/a b,mp=/data,ro=1
net0: name=eth0,bridge=vmbr50,gw=10.0.0.1,hwaddr=BC:24:11:9C:ED:6C,ip=10.0.0.5/24,ip6=auto,tag=20,type=veth
onboot: 1
ostype: debian
rootfs: tank:subvol-105-disk-0,size=8G
startup: order=1,up=30
swap: 0
tags: shop;db
unprivileged: 1
lxc.environment.runtime: A=x = \${y}
lxc.init.uid: 1000
lxc.init.gid: 100
lxc.mount.entry: tmpfs my\\040tmp tmpfs size=1024,mode=1777,create=dir 0 0
lxc.apparmor.profile: mine

[before]
memory: 64
`;

const guestOf = (text: string) => ({ vmid: 105, config: parseGuestConfig(text), mark: undefined });

test("a guest's configuration is read as a spec, with what no word can say", (t) => {
  const { spec, problems, unsaid, ostype } = describeGuest(guestOf(full), { ha: undefined });
  t.deepEqual(problems, []);
  t.deepEqual(unsaid, ["lxc.apparmor.profile: mine"]);
  t.is(ostype, "debian");
  if (spec === undefined) return t.fail();
  t.deepEqual(wordsOf({ name: "db", vmid: 105, spec, template: "local:vztmpl/d", unsaid }, "pve1"), {
    runtime: "lxc",
    template: "local:vztmpl/d",
    host: "pve1",
    command: ["/bin/sh", "-c", "echo 'a b'"],
    environment: { A: "x = $${y}" },
    user: "1000:100",
    hostname: "db.example",
    volumes: [
      { type: "bind", source: "/srv/a b", target: "/data", read_only: true },
      { type: "tmpfs", target: "/my tmp", tmpfs: { size: "1k", mode: "1777" } },
    ],
    networks: [
      { name: "eth0", bridge: "vmbr50", ip: "10.0.0.5/24", gateway: "10.0.0.1", ip6: "auto", vlan: 20 },
    ],
    resources: { cpus: 1.5, memory: "256m", swap: "0" },
    proxmox: {
      ...{ vmid: 105, storage: "tank", rootfs_size: "8g", features: { nesting: true }, onboot: true },
      ...{ startup: { order: 1, up: 30 }, tags: ["db", "shop"], cores: 2 },
    },
  });
});

const unfit: { what: string; line: string; problem: RegExp }[] = [
  { what: "a volume of no known size", line: "mp0: tank:vm-105-disk-1,mp=/d", problem: /sizeBytes/ },
  {
    what: "an interface with a rate",
    line: "net0: name=eth0,bridge=vmbr0,rate=5",
    problem: /^net0: .*rate=5/,
  },
  { what: "a gap in the numbers", line: "net1: name=eth1,bridge=vmbr0", problem: /^net1: / },
  {
    what: "a mount of LXC's own",
    line: "lxc.mount.entry: /a b none bind 0 0",
    problem: /^lxc\.mount\.entry: /,
  },
  { what: "a template", line: "template: 1", problem: /^template: / },
  { what: "what waits for a restart", line: "\n[pve:pending]\nmemory: 64", problem: /^pending: memory/ },
];
for (const { what, line, problem } of unfit)
  test(`not adopted, since a change could lose it: ${what}`, (t) => {
    const { problems } = describeGuest(guestOf(`hostname: db\n${line}\n`), { ha: undefined });
    t.is(problems.length, 1);
    t.regex(problems[0] ?? "", problem);
  });

test("a guest is adopted as what it is, and labels may be added", (t) => {
  const source = { kind: "template", volume: "local:vztmpl/debian" };
  const spec = (fields: object): ContainerSpec =>
    ContainerSpec.parse({
      ...describeGuest(guestOf("hostname: db\nmemory: 64\n"), { ha: undefined }).spec,
      source,
      ...fields,
    });
  const there = guestOf("hostname: db\nmemory: 64\n");
  t.notThrows(() => requireAdoptable(there, spec({ labels: { team: "x" } }), { ha: undefined }));
  t.notThrows(() => requireAdoptable(there, spec({ id: "database", hostname: "db" }), { ha: undefined }));
  t.throws(() => requireAdoptable(there, spec({ id: "database" }), { ha: undefined }), {
    message: /hostname/,
  });
  t.throws(
    () => requireAdoptable(there, spec({ resources: { memoryBytes: 96 * 1024 ** 2 } }), { ha: undefined }),
    {
      code: "SPEC_REFUSED",
      message: /resources\.memoryBytes/,
    },
  );
});

proxmoxTest("guests that others have made are adopted as they are: the first plan is empty", async (t) => {
  t.timeout(300_000);
  await using bed = await makeProxmox();
  const nexcage = async (...words: string[]) => await bed.nexcage("fleet", "adopt", "pve1", ...words);
  await onHost(
    bed,
    `set -e; mkdir -p /srv/data
    pct create 105 ${busyboxTemplate} --rootfs local:0.125 --hostname db --memory 64 --swap 0 --cores 1 \
      --net0 name=eth0,bridge=vmbr50,ip=10.77.50.40/24 --mp0 /srv/data,mp=/data --mp1 local2:0.125,mp=/db --cmode shell --tags "Shop;old" --onboot 1 \
      --description 'é by hand' --unprivileged 1 --features nesting=1 --start 1
    pct create 106 ${busyboxTemplate} --rootfs local:0.125 --hostname db --unprivileged 0
    pct create 107 ${busyboxTemplate} --rootfs local:0.125 --net0 name=eth0,bridge=vmbr50,rate=5`,
  );
  await bed.writeFleet({}, { prune: true });

  const refused = await nexcage("105", "107");
  t.is(refused.exitCode, 9);
  t.regex(refused.stderr, /107@pve1 cannot be adopted: net0: .*rate=5/);
  const before = await onHost(bed, "sha1sum /etc/pve/lxc/*.conf");
  const unsure = await nexcage("105");
  t.regex(unsure.stderr, /no template there is called alpine-.*\n.*--template local:vztmpl\/busybox-1/);
  const shown = await nexcage("105", "--template", busyboxTemplate);
  t.is(shown.exitCode, 0, shown.stderr);
  t.regex(shown.stdout, /^containers:\n {2}# adopted: guest 105; .*\n {2}# {3}cmode: shell\n/);
  t.regex(shown.stderr, /nothing was changed/);
  t.is(await onHost(bed, "sha1sum /etc/pve/lxc/*.conf"), before);

  const file = join(bed.folder, "fleet.yaml");
  await writeFile(file, `# ours\n${await readFile(file, "utf8")}`);
  const written = await nexcage("105", "106", "--template", busyboxTemplate, "--write", "fleet.yaml");
  t.is(written.exitCode, 0, written.stdout + written.stderr);
  t.is(written.stdout, "db@pve1: guest 105 is this fleet's\ndb-106@pve1: guest 106 is this fleet's");
  t.regex(await readFile(file, "utf8"), /^# ours\n/);
  const plan = await bed.nexcage("fleet", "plan");
  t.notRegex(plan.stdout, /(create|replace|update|delete) +db/);
  t.regex(plan.stdout, /start +db-106 /, "what was stopped is to run");
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await requireNothingToDo(t, bed);
  const conf = await onHost(bed, "cat /etc/pve/lxc/105.conf");
  t.regex(conf, /^#%C3%A9 by hand\n#nexcage%3A /);
  t.regex(conf, /^tags: nexcage;old;shop$/m);
  t.regex(conf, /^cmode: shell$/m, "what no word says stays");
  t.regex(conf, /^mp1: local2:105\/vm-105-disk-0.raw,mp=\/db,size=128M$/m);

  const again = await nexcage("105");
  t.is(again.stdout, "db@pve1: guest 105 was already this fleet's");
  await writeFile(file, (await readFile(file, "utf8")).replace("memory: 64m", "memory: 96m"));
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  t.regex(await onHost(bed, "cat /etc/pve/lxc/105.conf"), /^cores: 1\n(.*\n)*memory: 96$/m);
  t.deepEqual((await traces(bed)).guests, ["105", "106", "107"]);
});
