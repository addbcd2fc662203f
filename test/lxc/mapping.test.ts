import test from "ava";
import { parseGuestConfig, parseProperties } from "../../agent/backends/lxc/guest-config.ts";
import { formatMark, parseMark, withMark } from "../../agent/backends/lxc/mark.ts";
import {
  changedOptions,
  optionsOf,
  rawLinesOf,
  requireMappable,
  toArguments,
} from "../../agent/backends/lxc/options.ts";
import { withRawLines } from "../../agent/backends/lxc/raw-lines.ts";
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
    what: "a folder of the host",
    fields: { mounts: [{ type: "bind", source: "/srv/a b", target: "/data", readOnly: true }] },
    option: "mp0",
    value: "/srv/a b,mp=/data,ro=1",
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
  const lines = rawLinesOf(spec, { consoleLog: "/var/log/nexcage/web-1.console" });
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

test("lines of LXC's own replace ours, and keep those of others and the other sections", (t) => {
  const text = `memory: 16\nlxc.init.cwd: /old\nlxc.apparmor.profile: mine\n\n[s1]\nlxc.init.cwd: /then\n`;
  t.is(
    withRawLines(text, [{ key: "lxc.init.cwd", value: "/new" }]),
    "memory: 16\nlxc.apparmor.profile: mine\nlxc.init.cwd: /new\n\n[s1]\nlxc.init.cwd: /then\n",
  );
  const once = withRawLines(written, []);
  t.is(withRawLines(once, []), once, "done twice it does the same");
});

const refused: { what: string; fields: object; source?: object; message: RegExp }[] = [
  { what: "a bundle", fields: {}, source: { kind: "bundle", path: "/srv/b" }, message: /^bundle: / },
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

test("an update tells pct what differs, and what is gone", (t) => {
  const before = optionsOf(specOf({ resources: { cpus: 1 }, proxmox: { onboot: true } }));
  const after = optionsOf(specOf({ resources: { cpus: 2 } }));
  const { set, remove } = changedOptions(before, after);
  t.deepEqual(toArguments(set), ["--cpulimit", "2"]);
  t.deepEqual(remove, ["onboot"]);
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
