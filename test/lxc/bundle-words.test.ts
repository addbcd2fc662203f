import test from "ava";
import { bundleWords } from "../../agent/backends/lxc/bundle-words.ts";
import { withWords } from "../../agent/backends/lxc/whole.ts";
import { parseConfig } from "../../agent/backends/oci-bundle.ts";
import { specOf } from "../config/container.ts";

/* What becomes of each field of an OCI config.json in a Proxmox container, as docs/proxmox.md has it. */

function wordsOf({ process = {}, linux = {}, ...rest }: Record<string, object | string>) {
  const file = "/b/config.json";
  const json = {
    ociVersion: "1.2.0",
    root: { path: "rootfs" },
    process: { args: ["init"], cwd: "/", ...Object(process) },
    linux,
    ...rest,
  };
  const config = parseConfig(JSON.stringify(json), file);
  const isFolder = (path: string): boolean => !path.endsWith(".conf");
  return bundleWords({ config, file, bundle: "/b", isFolder });
}

const mount = (destination: string, type: string, source: string, ...options: string[]) => ({
  mounts: [{ destination, type, source, options }],
});

const mapped: { says: Parameters<typeof wordsOf>[0]; fields?: object; lines?: string[] }[] = [
  { says: { process: { env: ["A=b=c", "EMPTY="] } }, fields: { environment: { A: "b=c", EMPTY: "" } } },
  { says: { process: { cwd: "/srv" } }, fields: { workingDir: "/srv" } },
  {
    says: { process: { user: { uid: 5, gid: 6, additionalGids: [7, 8] } } },
    fields: { user: "5:6" },
    lines: ["lxc.init.groups: 7 8"],
  },
  {
    says: { process: { rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 2 ** 64 }] } },
    lines: ["lxc.prlimit.core: 0:unlimited"],
  },
  { says: { process: { capabilities: { bounding: [] } } }, fields: { capDrop: ["ALL"] } },
  {
    says: mount("/data/", "bind", "data", "rbind", "ro", "rprivate"),
    fields: { mounts: [{ type: "bind", source: "/b/data", target: "/data", readOnly: true }] },
  },
  {
    says: mount("/etc/a.conf", "bind", "/srv/a b.conf", "bind"),
    lines: ["lxc.mount.entry: /srv/a\\040b.conf etc/a.conf none bind,create=file 0 0"],
  },
  {
    says: mount("/run", "tmpfs", "tmpfs", "nosuid", "size=1m"),
    lines: ["lxc.mount.entry: tmpfs run tmpfs nosuid,size=1m,create=dir 0 0"],
  },
  { says: mount("/proc", "proc", "proc", "nosuid") },
  {
    says: { linux: { resources: { memory: { limit: 1 << 26, swap: 1 << 27 } } } },
    fields: { resources: { memoryBytes: 1 << 26, swapBytes: 1 << 26 } },
  },
  {
    says: { linux: { resources: { cpu: { quota: 50_000, period: 100_000, shares: 1024 } } } },
    fields: { resources: { cpus: 0.5 }, proxmox: { cpuunits: 39 } },
  },
  { says: { annotations: { a: "b" }, linux: { cgroupsPath: "/x", sysctl: {}, uidMappings: [] } } },
];
for (const { says, fields = {}, lines = [] } of mapped)
  test(`of a bundle: ${JSON.stringify(says)}`, (t) => {
    const words = wordsOf(says);
    t.deepEqual(words.fields, { command: ["init"], ...fields });
    t.deepEqual(
      words.lines.map(({ key, value }) => `${key}: ${value}`),
      lines,
    );
  });

const refused: { says: Parameters<typeof wordsOf>[0]; message: RegExp }[] = [
  {
    says: { hooks: { prestart: [{ path: "/x" }] } },
    message: /^bundle: hooks: a Proxmox container cannot hold it$/,
  },
  { says: { linux: { sysctl: { a: "b" } } }, message: /^bundle: linux\.sysctl: / },
  { says: { process: { user: { uid: 0, umask: 0o077 } } }, message: /^bundle: process\.user: / },
  { says: { process: { oomScoreAdj: 100 } }, message: /^bundle: process\.oomScoreAdj: / },
  {
    says: { linux: { namespaces: [{ type: "pid" }] } },
    message: /its own mount, network, ipc, uts, never the host's$/,
  },
  { says: mount("/n", "nfs", "host:/x"), message: /^bundle: mounts: \/n: nfs is not mounted by LXC$/ },
  {
    says: mount("/n", "bind", "x", "bind", "idmap"),
    message: /^bundle: mounts: \/n: LXC has no option idmap$/,
  },
  {
    says: { linux: { resources: { memory: { limit: 1000 } } } },
    message: /memory: Proxmox counts in whole MiB$/,
  },
  {
    says: {
      linux: { resources: { devices: [{ allow: true, type: "b", major: 8, minor: 0, access: "rw" }] } },
    },
    message: /devices: b 8:0 is allowed: name it in devices$/,
  },
];
for (const { says, message } of refused)
  test(`a bundle is refused: ${JSON.stringify(says)}`, (t) => {
    const error = t.throws(() => wordsOf(says), { message });
    t.like(error, { code: "SPEC_REFUSED" });
  });

test("what Proxmox has of its own in place of a bundle's is named", (t) => {
  const { replaced } = wordsOf({
    linux: { seccomp: { defaultAction: "SCMP_ACT_ERRNO" }, maskedPaths: ["/x"] },
  });
  t.deepEqual(replaced, ["linux.seccomp", "linux.maskedPaths"]);
});

test("the spec's own words win: variables one by one, mounts by where they are", (t) => {
  const own = specOf({
    environment: { A: "own" },
    mounts: [{ type: "tmpfs", target: "/run" }],
    user: "9",
  });
  const { spec, lines } = withWords(
    own,
    wordsOf({
      process: { env: ["A=bundle", "B=bundle"], user: { uid: 5, gid: 6, additionalGids: [7] } },
      ...mount("/run", "tmpfs", "tmpfs", "size=1m"),
    }),
  );
  t.deepEqual(spec.environment, { A: "own", B: "bundle" });
  t.is(spec.user, "9");
  t.deepEqual(lines, []);
});
