import test from "ava";
import { parseGuestConfig, parseProperties } from "../../agent/backends/lxc/guest-config.ts";
import { requireMappable } from "../../agent/backends/lxc/mappable.ts";
import { formatMark, parseMark, withMark } from "../../agent/backends/lxc/mark.ts";
import { mountChanges } from "../../agent/backends/lxc/mount-points.ts";
import { optionChanges } from "../../agent/backends/lxc/option-changes.ts";
import { optionsOf, toArguments } from "../../agent/backends/lxc/options.ts";
import { linesOf, withRawLines } from "../../agent/backends/lxc/raw-lines.ts";
import { parseStorages } from "../../agent/backends/lxc/storages.ts";
import { lowestFree } from "../../agent/backends/lxc/vmids.ts";
import { ContainerSpec, specDigest } from "../../shared/spec.ts";

const template = { kind: "template", volume: "local:vztmpl/busybox-1_amd64.tar.zst" };
const image = { kind: "image", digest: `sha256:${"a".repeat(64)}` };
const mebibyte = 1024 ** 2;

function specOf(fields: object, source: object = template): ContainerSpec {
  return ContainerSpec.parse({ id: "web-1", runtime: "lxc", source, ...fields });
}

/** A configuration as pct writes it, with all that one can have. */
const written = `#line one
#n%C3%A9%3A two
arch: amd64
hostname: web-1
memory: 512
net0: name=eth0,bridge=vmbr50,hwaddr=BC:24:11:9C:ED:6C,ip=10.77.50.11/24,type=veth
rootfs: local:101/vm-101-disk-0.raw,size=1G
swap: 0
lxc.environment.runtime: GREETING=hi there
lxc.init.cwd = /tmp

[pve:pending]
nameserver: 8.8.8.8

[s1]
#first%3A snap
memory: 64
snaptime: 1795510114
`;

test("a configuration's current section is read, with its description, its own lines and what waits for a start", (t) => {
  const { values, raw, description, pending } = parseGuestConfig(written);
  t.is(description, "line one\nné: two\n");
  t.is(values.get("memory"), "512", "not the snapshot's");
  t.deepEqual(raw, [
    { key: "lxc.environment.runtime", value: "GREETING=hi there" },
    { key: "lxc.init.cwd", value: "/tmp" },
  ]);
  t.deepEqual([...pending], [["nameserver", "8.8.8.8"]]);
  t.is(parseProperties(values.get("rootfs") ?? "").get(""), "local:101/vm-101-disk-0.raw");
});

test("what is no line of a configuration is passed over, as pct does", (t) => {
  const { values, description } = parseGuestConfig("bogus line\n#100%\n\nmemory: 16\nfutureopt: 3\n");
  t.deepEqual(
    [...values],
    [
      ["memory", "16"],
      ["futureopt", "3"],
    ],
  );
  t.is(description, "100%\n", "a comment that was written by hand");
});

test("the mark in a description says whose a guest is, and leaves alone what people wrote", (t) => {
  const { id } = specOf({});
  const mark = { id, fleet: "shop", digest: specDigest(specOf({})) };
  t.deepEqual(parseMark(`by hand\n${formatMark(mark)}\nand more\n`), mark);
  t.is(parseMark("by hand\n"), undefined);
  t.is(parseMark('nexcage: {"id":"../x"}\n'), undefined, "not one of ours");
  const aside = withMark(`first\n${formatMark(mark)}\nlast\n`, { ...mark, aside: true });
  t.deepEqual(aside.split("\n").slice(0, 2), ["first", "last"]);
  t.true(parseMark(aside)?.aside);
});

const mapped: { what: string; fields: object; option: string; value: string | undefined }[] = [
  {
    what: "memory in MiB",
    fields: { resources: { memoryBytes: 256 * mebibyte } },
    option: "memory",
    value: "256",
  },
  { what: "no swap at all", fields: { resources: { swapBytes: 0 } }, option: "swap", value: "0" },
  { what: "CPU time", fields: { resources: { cpus: 1.5 } }, option: "cpulimit", value: "1.5" },
  { what: "memory that is not said: Proxmox's own", fields: {}, option: "memory", value: undefined },
  { what: "a hostname", fields: { hostname: "db.example" }, option: "hostname", value: "db.example" },
  { what: "an id that is no hostname", fields: { id: "web_1.a+b" }, option: "hostname", value: "web-1-a-b" },
  {
    what: "a command, as a shell would read it",
    fields: { command: ["/bin/sh", "-c", "echo 'a b'"] },
    option: "entrypoint",
    value: "/bin/sh -c 'echo '\\''a b'\\'''",
  },
  {
    what: "an interface",
    fields: {
      networks: [{ name: "eth0", bridge: "vmbr50", vlan: 20, ip: "10.0.0.5/24", gateway: "10.0.0.1" }],
    },
    option: "net0",
    value: "name=eth0,bridge=vmbr50,ip=10.0.0.5/24,gw=10.0.0.1,tag=20",
  },
  {
    what: "a device with its mode",
    fields: { devices: [{ path: "/dev/fuse", mode: "0660", gid: 5, denyWrite: true }] },
    option: "dev0",
    value: "/dev/fuse,mode=0660,gid=5,deny-write=1",
  },
  { what: "cores", fields: { proxmox: { cores: 2 } }, option: "cores", value: "2" },
  { what: "a share of the CPUs", fields: { proxmox: { cpuunits: 50 } }, option: "cpuunits", value: "50" },
  {
    what: "name servers",
    fields: { proxmox: { nameserver: ["10.0.0.1", "fd00::1"] } },
    option: "nameserver",
    value: "10.0.0.1 fd00::1",
  },
  {
    what: "search domains",
    fields: { proxmox: { searchdomain: ["example.com", "lan"] } },
    option: "searchdomain",
    value: "example.com lan",
  },
  {
    what: "a time zone",
    fields: { proxmox: { timezone: "Europe/Berlin" } },
    option: "timezone",
    value: "Europe/Berlin",
  },
  {
    what: "features",
    fields: { proxmox: { features: { nesting: true, fuse: false } } },
    option: "features",
    value: "nesting=1,fuse=0",
  },
  {
    what: "the order of starts",
    fields: { proxmox: { startup: { order: 1, up: 30 } } },
    option: "startup",
    value: "order=1,up=30",
  },
  {
    what: "tags beside our own",
    fields: { proxmox: { tags: ["zeta", "a"] } },
    option: "tags",
    value: "a;nexcage;zeta",
  },
  { what: "a start at boot", fields: { proxmox: { onboot: false } }, option: "onboot", value: "0" },
];
for (const { what, fields, option, value } of mapped)
  test(`an option of pct: ${what}`, (t) => {
    t.is(optionsOf(specOf(fields)).get(option), value);
  });

test("an interface keeps the address that Proxmox gave it, unless the spec says another", (t) => {
  const macs = new Map([["eth0", "BC:24:11:00:00:01"]]);
  const networks = [{ name: "eth0", bridge: "vmbr50" }];
  t.regex(optionsOf(specOf({ networks }), { macs }).get("net0") ?? "", /hwaddr=BC:24:11:00:00:01/);
  const pinned = [{ name: "eth0", bridge: "vmbr50", mac: "02:00:00:00:00:01" }];
  t.regex(optionsOf(specOf({ networks: pinned }), { macs }).get("net0") ?? "", /hwaddr=02:00:00:00:00:01/);
});

test("a container of an image has no init that sets addresses, so the host does", (t) => {
  const networks = [{ name: "eth0", bridge: "vmbr50", ip: "dhcp" }];
  t.regex(optionsOf(specOf({ networks }, image)).get("net0") ?? "", /host-managed=1/);
  t.notRegex(optionsOf(specOf({ networks })).get("net0") ?? "", /host-managed/);
});

test("what pct has no option for are lines of LXC's own", (t) => {
  const spec = specOf({
    environment: { A: "x y", B: "" },
    user: "1000:100",
    workingDir: "/srv",
    stopSignal: "SIGINT",
    capDrop: ["CAP_NET_RAW", "CAP_SYS_TIME"],
    mounts: [{ type: "tmpfs", target: "/my tmp", sizeBytes: 1024, mode: 0o1777 }],
    resources: { pids: 64 },
  });
  const lines = linesOf({ spec, lines: [] }, { consoleLog: "/var/log/nexcage/web-1.console" });
  t.deepEqual(
    lines.map(({ key, value }) => `${key}: ${value}`),
    [
      "lxc.environment.runtime: A=x y",
      "lxc.environment.runtime: B=",
      "lxc.init.uid: 1000",
      "lxc.init.gid: 100",
      "lxc.init.cwd: /srv",
      "lxc.signal.halt: SIGINT",
      "lxc.cap.drop: net_raw sys_time",
      "lxc.mount.entry: tmpfs my\\040tmp tmpfs size=1024,mode=1777,create=dir 0 0",
      "lxc.cgroup2.pids.max: 64",
      "lxc.console.logfile: /var/log/nexcage/web-1.console",
    ],
  );
});

test("lines of LXC's own replace those of the spec before, and keep those of others and the other sections", (t) => {
  const text = `memory: 16\nlxc.init.cwd: /old\nlxc.apparmor.profile: mine\nlxc.idmap: u 0 1 2\n\n[s1]\nlxc.init.cwd: /then\n`;
  const cwd = [{ key: "lxc.init.cwd", value: "/new" }];
  t.is(
    withRawLines(text, cwd, { before: [] }),
    "memory: 16\nlxc.apparmor.profile: mine\nlxc.idmap: u 0 1 2\nlxc.init.cwd: /new\n\n[s1]\nlxc.init.cwd: /then\n",
  );
  t.is(
    withRawLines(text, [], { before: cwd }),
    "memory: 16\nlxc.apparmor.profile: mine\nlxc.idmap: u 0 1 2\n\n[s1]\nlxc.init.cwd: /then\n",
    "what is not said any more goes",
  );
  const once = withRawLines(written, [], { before: [] });
  t.is(withRawLines(once, [], { before: [] }), once, "done twice it does the same");
});

const refused: { what: string; fields: object; source?: object; message: RegExp }[] = [
  {
    what: "more capabilities",
    fields: { capAdd: ["CAP_SYS_ADMIN"] },
    message: /^cap_add: LXC adds none|^cap_add: /,
  },
  { what: "a user by name", fields: { user: "www-data" }, message: /^user: "www-data" is a name/ },
  { what: "a variable of two lines", fields: { environment: { A: "x\ny" } }, message: /^environment\.A: / },
  {
    what: "half a MiB",
    fields: { resources: { memoryBytes: mebibyte / 2 } },
    message: /^resources\.memory: /,
  },
];
for (const { what, fields, source, message } of refused)
  test(`refused by name: ${what}`, (t) => {
    t.throws(() => requireMappable(specOf(fields, source)), { code: "SPEC_REFUSED", message });
  });

const observed = (text: string) => ({ config: parseGuestConfig(text), macs: new Map<string, string>() });
const changes: {
  what: string;
  text: string;
  spec: object;
  before?: object;
  set: string[];
  remove?: string[];
}[] = [
  {
    what: "what differs, and takes away what only the spec before had",
    text: "cpulimit: 1\nonboot: 1\nhostname: web-1\ntags: nexcage\n",
    spec: { resources: { cpus: 2 } },
    before: { resources: { cpus: 1 }, proxmox: { onboot: true } },
    set: ["--cpulimit", "2"],
    remove: ["onboot"],
  },
  {
    what: "what Proxmox would not take away, to be as it is by itself",
    text: "memory: 64\nhostname: web-1\ntags: nexcage\n",
    spec: {},
    before: { resources: { memoryBytes: 64 * mebibyte } },
    set: ["--memory", "512"],
  },
  {
    what: "nothing of what neither spec says",
    text: "cores: 3\nmemory: 64\nnet0: name=eth0,bridge=vmbr0\nhostname: web-1\ntags: nexcage\n",
    spec: {},
    set: [],
  },
  {
    what: "an interface that was changed by hand, and keeps what has no word here",
    text: "net0: name=eth0,bridge=vmbr0,rate=5,type=veth\nnet1: name=eth1,bridge=vmbr0\nhostname: web-1\ntags: nexcage\n",
    spec: { networks: [{ name: "eth0", bridge: "vmbr50" }] },
    set: ["--net0", "name=eth0,bridge=vmbr50,rate=5"],
    remove: ["net1"],
  },
  {
    what: "nothing where only the order of words differs",
    text: "features: keyctl=1,nesting=1\nnet0: name=eth0,bridge=vmbr0,gw=10.0.0.1,ip=10.0.0.5/24,type=veth\nhostname: web-1\ntags: nexcage\n",
    spec: {
      networks: [{ name: "eth0", bridge: "vmbr0", ip: "10.0.0.5/24", gateway: "10.0.0.1" }],
      proxmox: { features: { nesting: true, keyctl: true } },
    },
    set: [],
  },
  {
    what: "again what waits for the next start, and what is to go with it",
    text: "timezone: host\nnameserver: 10.0.0.1\nhostname: web-1\ntags: nexcage\n\n[pve:pending]\ndelete: timezone\nnameserver: 8.8.8.8\n",
    spec: { proxmox: { nameserver: ["10.0.0.1"], timezone: "host" } },
    set: ["--nameserver", "10.0.0.1", "--timezone", "host"],
  },
];
for (const { what, text, spec, before, set, remove = [] } of changes)
  test(`an update tells pct ${what}`, (t) => {
    const found = optionChanges(specOf(spec), { ...observed(text), before: before && specOf(before) });
    t.deepEqual(toArguments(found.set), set);
    t.deepEqual(found.remove, remove);
  });

const volume = (name: string, target: string, gib = 1) => ({
  type: "volume",
  name,
  target,
  sizeBytes: gib * 1024 ** 3,
});
const bind = { type: "bind", source: "/srv", target: "/srv" };
const onDisk = (n: number, rest: string) => `local:100/vm-100-disk-${n}.raw,${rest}`;
type Known = Record<string, string>;
const mounted: {
  what: string;
  mounts: object[];
  text?: string;
  known?: Known;
  before?: object[];
  set?: Known;
  remove?: string[];
  grow?: { key: string; bytes: number }[];
  volumes: Known;
}[] = [
  {
    what: "what is not there is made, in the order of the file",
    mounts: [volume("data", "/data", 0.5), bind],
    set: { mp0: "tank:0.5,mp=/data", mp1: "/srv,mp=/srv" },
    volumes: { data: "mp0" },
  },
  {
    what: "a volume that is there is not made again, whatever else stands there",
    mounts: [volume("data", "/data")],
    text: `mp0: /srv,mp=/other\nmp3: ${onDisk(1, "mp=/data,size=1G")}\n`,
    known: { data: "mp3" },
    volumes: { data: "mp3" },
  },
  {
    what: "without a mark a volume is known by where it is mounted",
    mounts: [volume("data", "/data")],
    text: `mp0: ${onDisk(1, "mp=/data,size=1G")}\n`,
    volumes: { data: "mp0" },
  },
  {
    what: "a volume that moves inside of its container stays the same volume, with what was said of it by hand",
    mounts: [volume("data", "/new")],
    text: `mp0: ${onDisk(1, "mp=/data,acl=1,size=1G")}\n`,
    known: { data: "mp0" },
    set: { mp0: onDisk(1, "mp=/new,acl=1,size=1G") },
    volumes: { data: "mp0" },
  },
  {
    what: "a volume grows, and what is larger already stays as it is",
    mounts: [volume("data", "/data", 3), volume("logs", "/logs", 1)],
    text: `mp0: ${onDisk(1, "mp=/data,size=2G")}\nmp1: ${onDisk(2, "mp=/logs,size=2G")}\n`,
    known: { data: "mp0", logs: "mp1" },
    grow: [{ key: "mp0", bytes: 3 * 1024 ** 3 }],
    volumes: { data: "mp0", logs: "mp1" },
  },
  {
    what: "a volume that leaves the spec is detached, and known for when it comes back",
    mounts: [],
    text: `mp0: ${onDisk(1, "mp=/data,size=1G")}\n`,
    known: { data: "mp0" },
    remove: ["mp0"],
    volumes: { data: "local:100/vm-100-disk-1.raw" },
  },
  {
    what: "one that comes back is attached again",
    mounts: [volume("data", "/data")],
    text: "unused0: local:100/vm-100-disk-1.raw\n",
    known: { data: "local:100/vm-100-disk-1.raw" },
    set: { mp0: "local:100/vm-100-disk-1.raw,mp=/data" },
    volumes: { data: "mp0" },
  },
  {
    what: "what was mounted by hand is left alone",
    mounts: [],
    text: `mp0: ${onDisk(1, "mp=/mine")}\nmp1: /home,mp=/home\n`,
    volumes: {},
  },
  {
    what: "a bind mount that the spec before had is taken away",
    mounts: [],
    before: [bind],
    text: "mp0: /srv,mp=/srv\nmp1: /home,mp=/home\n",
    remove: ["mp0"],
    volumes: {},
  },
];
for (const {
  what,
  mounts,
  text = "",
  known = {},
  before,
  set = {},
  remove = [],
  grow = [],
  volumes,
} of mounted)
  test(`mounts: ${what}`, (t) => {
    const changed = mountChanges(specOf({ mounts }), {
      now: { vmid: 100, config: parseGuestConfig(text), volumes: known },
      before: before && specOf({ mounts: before }),
      storage: "tank",
    });
    t.deepEqual({ ...changed, set: Object.fromEntries(changed.set) }, { set, remove, grow, volumes });
  });

test("mounts: a volume that was detached by hand is not replaced by an empty one", (t) => {
  const now = {
    vmid: 100,
    config: parseGuestConfig("unused0: local:100/vm-100-disk-1.raw\n"),
    volumes: { data: "mp0" },
  };
  const error = t.throws(
    () => mountChanges(specOf({ mounts: [volume("data", "/data")] }), { now, storage: "tank" }),
    {
      code: "SPEC_REFUSED",
      message: "volumes: data was detached from guest 100, and its unused0 may be it",
    },
  );
  t.regex(
    String(error && "hint" in error && error.hint),
    /pct set 100 --mp0 local:100\/vm-100-disk-1.raw,mp=\/data/,
  );
});

test("mounts: what would be hidden by what is mounted later is refused", (t) => {
  const mounts = [volume("inner", "/srv/data"), bind];
  t.throws(() => mountChanges(specOf({ mounts }), { now: undefined, storage: "tank" }), {
    code: "SPEC_REFUSED",
    message: "volumes: /srv would be mounted over /srv/data",
  });
});

test("storages are those of this node that are switched on", (t) => {
  const text =
    "dir: local\n\tpath /var/lib/vz\n\tcontent vztmpl,rootdir\n\nzfspool: tank\n\tpool tank\n\tcontent rootdir\n\tnodes pve2,pve3\n\nlvmthin: off\n\tdisable\n\tcontent rootdir\n";
  t.deepEqual(
    parseStorages(text, "pve1").map(({ name }) => name),
    ["local"],
  );
  t.deepEqual(
    parseStorages(text, "pve2").map(({ name }) => name),
    ["local", "tank"],
  );
});

test("a guest gets the lowest free number of its range", (t) => {
  t.is(lowestFree([100, 105], new Set([100, 101, 103])), 102);
  t.is(lowestFree([100, 101], new Set([100, 101])), undefined);
});
