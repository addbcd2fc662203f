import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import * as z from "zod";
import { bundleConfig } from "../../agent/backends/oci/bundle.ts";
import { type Capability, containerCapabilities } from "../../agent/backends/oci/capabilities.ts";
import { ociConfig } from "../../agent/backends/oci/config.ts";
import { resourcesOf, resourcesUpdate } from "../../agent/backends/oci/limits.ts";
import { imageConfig } from "../../agent/backends/oci/prepare.ts";
import { defaultSeccomp } from "../../agent/backends/oci/seccomp.ts";
import { parseConfig } from "../../agent/backends/oci-bundle.ts";
import { resolveUser, userOf } from "../../agent/backends/users.ts";
import { capabilities } from "../../shared/capabilities.ts";
import { specOf } from "./container.ts";

const passwd = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\n+::::::\nbroken\n";
const group = "root:x:0:web\nwww:x:1001:web\nmedia:x:44:other,web\n";

const users: { title: string; user: string; is: ReturnType<typeof userOf> }[] = [
  { title: "a name", user: "web", is: { uid: 1000, gid: 1001, additionalGids: [0, 44], home: "/srv/web" } },
  {
    title: "its number",
    user: "1000",
    is: { uid: 1000, gid: 1001, additionalGids: [0, 44], home: "/srv/web" },
  },
  { title: "a number of nobody", user: "7", is: { uid: 7, gid: 0, additionalGids: [], home: "/" } },
  { title: "two numbers of nobody", user: "7:8", is: { uid: 7, gid: 8, additionalGids: [], home: "/" } },
  {
    title: "a name and a group by name",
    user: "web:media",
    is: { uid: 1000, gid: 44, additionalGids: [], home: "/srv/web" },
  },
  {
    title: "a number and a group by name",
    user: "7:www",
    is: { uid: 7, gid: 1001, additionalGids: [], home: "/" },
  },
];
for (const { title, user, is } of users)
  test(`a user is found by ${title}`, (t) => {
    t.deepEqual(userOf(user, { passwd, group }), is);
  });

test("a user or group that the image does not have is refused by name", (t) => {
  t.throws(() => userOf("nobody", { passwd, group }), { code: "SPEC_REFUSED", message: /no user "nobody"/ });
  t.throws(() => userOf("web:video", { passwd, group }), {
    code: "SPEC_REFUSED",
    message: /no group "video"/,
  });
});

test("users are read in the image, whatever its links say", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-users-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const root = join(folder, "rootfs");
  await mkdir(join(root, "usr/etc"), { recursive: true });
  await writeFile(join(folder, "passwd"), "outside:x:1:1::/:\n");
  await writeFile(join(root, "usr/etc/passwd"), "inside:x:5:6::/:\n");
  await symlink("/usr/etc", join(root, "etc"));
  t.like(await resolveUser("inside", root), { uid: 5, gid: 6 });

  await rm(join(root, "usr/etc/passwd"));
  for (const target of ["../../../passwd", join(folder, "passwd"), "passwd"]) {
    await symlink(target, join(root, "usr/etc/passwd"));
    await t.throwsAsync(resolveUser("outside", root), { code: "SPEC_REFUSED" }, target);
    await rm(join(root, "usr/etc/passwd"));
  }
});

const nine = capabilities.slice(0, 9);
const some: { title: string; add?: string[]; drop?: string[]; are: Capability[] }[] = [
  { title: "dropping ALL leaves none", drop: ["ALL"], are: [] },
  { title: "dropping ALL and adding one leaves it", drop: ["all"], add: ["chown"], are: ["CAP_CHOWN"] },
  { title: "adding ALL gives what the host can give", add: ["ALL"], are: [...nine] },
  {
    title: "adding ALL and dropping one gives the others",
    add: ["ALL"],
    drop: ["CAP_CHOWN"],
    are: nine.slice(1),
  },
];
for (const { title, add, drop, are } of some)
  test(`capabilities: ${title}`, (t) => {
    t.deepEqual(containerCapabilities({ capAdd: add, capDrop: drop }, nine), are);
  });

const badCapabilities = [
  { capAdd: ["CAP_NOPE"], message: /cap_add: "CAP_NOPE" is not a capability/ },
  { capDrop: ["NOPE"], message: /cap_drop: "NOPE" is not a capability/ },
  { capAdd: ["KILL"], capDrop: ["CAP_KILL"], message: /both say CAP_KILL/ },
  { capAdd: ["BPF"], message: /this host cannot give CAP_BPF/ },
];
for (const { message, ...spec } of badCapabilities)
  test(`capabilities ${JSON.stringify(spec)} are refused`, (t) => {
    t.throws(() => containerCapabilities(spec, nine), { code: "SPEC_REFUSED", message });
  });

test("the seccomp profile allows more to who has the capability", (t) => {
  const allowedTo = (held: Capability[]) =>
    defaultSeccomp({ capabilities: held, architecture: "arm64" })
      .syscalls.filter((rule) => rule.action === "SCMP_ACT_ALLOW" && rule.args === undefined)
      .flatMap((rule) => rule.names);
  t.false(allowedTo([]).includes("mount"));
  t.true(allowedTo(["CAP_SYS_ADMIN"]).includes("mount"));
  t.false(allowedTo(["CAP_SYS_ADMIN"]).includes("ptrace"));
  t.true(allowedTo(["CAP_SYS_PTRACE"]).includes("ptrace"));
});

const Mounts = z.array(z.object({ destination: z.string(), options: z.array(z.string()) }));
const mountsOf = (mounts: unknown[]) => {
  const config = ociConfig(specOf({ command: ["/bin/app"], mounts }), {
    rootfsPath: "/rootfs",
    cgroupsPath: "/nexcage/test",
    user: { uid: 0, gid: 0, additionalGids: [], home: "/root" },
    host: {
      openFiles: 1024,
      capabilities,
      architecture: "x64",
      networkFiles: ["/etc/resolv.conf", "/etc/hosts"],
    },
  });
  return Mounts.parse(config.mounts);
};

test("a volume that lies in another one is mounted after it", (t) => {
  const inner = { type: "tmpfs", target: "/data/cache" };
  const outer = { type: "bind", source: "/srv", target: "/data" };
  t.deepEqual(
    mountsOf([inner, outer])
      .map(({ destination }) => destination)
      .slice(-2),
    ["/data", "/data/cache"],
  );
});

test("a volume takes the place of what is usually mounted there or below", (t) => {
  const destinations = mountsOf([
    { type: "tmpfs", target: "/dev/shm", sizeBytes: 1024, mode: 0o700 },
    { type: "bind", source: "/srv/etc", target: "/etc" },
  ]);
  t.deepEqual(
    destinations.filter(({ destination }) => destination === "/dev/shm"),
    [{ destination: "/dev/shm", options: ["nosuid", "nodev", "mode=700", "size=1024"] }],
  );
  t.false(destinations.some(({ destination }) => destination === "/etc/hosts"));
});

for (const target of ["/", "/proc", "/dev", "/sys/", "//proc"])
  test(`a volume on ${target} is refused`, (t) => {
    t.throws(() => mountsOf([{ type: "tmpfs", target }]), {
      code: "SPEC_REFUSED",
      message: /nothing can be mounted on/,
    });
  });

test("a volume whose source is not there is refused with its path", async (t) => {
  const spec = specOf({
    command: ["/bin/app"],
    mounts: [{ type: "bind", source: "/no/such", target: "/data" }],
  });
  const options = { rootfsPath: "/r", imagePath: "/r", cgroupsPath: "/nexcage/test" };
  await t.throwsAsync(imageConfig(spec, options), {
    code: "SPEC_REFUSED",
    message: "volumes: /no/such does not exist on this host",
  });
});

test("a container without a command is refused", async (t) => {
  const options = { rootfsPath: "/r", imagePath: "/r", cgroupsPath: "/nexcage/test" };
  await t.throwsAsync(imageConfig(specOf({}), options), {
    code: "SPEC_REFUSED",
    message: /command: container test/,
  });
});

test("limits are what the spec says, and a limit that is taken away is lifted", (t) => {
  t.deepEqual(resourcesOf({ cpus: 1.5, memoryBytes: 1024, pids: 7 }), {
    cpu: { quota: 150_000, period: 100_000 },
    memory: { limit: 1024, swap: 1024 },
    pids: { limit: 7 },
  });
  t.deepEqual(resourcesOf({}), {});
  t.deepEqual(resourcesUpdate({ pids: 8 }), {
    cpu: { quota: -1, period: 100_000 },
    memory: { limit: -1, swap: -1 },
    pids: { limit: 8 },
  });
  t.throws(() => resourcesOf({ cpus: 0.001 }), { code: "SPEC_REFUSED", message: /cpus is 0.001, less than/ });
});

const valid = { ociVersion: "1.0.2", root: { path: "rootfs" }, process: { args: ["/bin/app"], cwd: "/" } };
const badConfigs: { title: string; text: string; message: string }[] = [
  {
    title: "an unexpected word",
    text: '{\n "a": x}',
    message: "/b/config.json:2:7: not JSON: unexpected token 'x'",
  },
  {
    title: "a comma too many",
    text: '{"a": 1,}',
    message: "/b/config.json:1:9: not JSON: expected double-quoted property name",
  },
  { title: "an end too soon", text: '{"a":\n', message: "/b/config.json:2:1: not JSON: unexpected end" },
  { title: "nothing in it", text: "", message: "/b/config.json:1:1: not JSON: unexpected end" },
  {
    title: "no program",
    text: JSON.stringify({ ...valid, process: { args: [], cwd: "/" } }),
    message: "/b/config.json: process.args: expected at least one item",
  },
  {
    title: "no root",
    text: JSON.stringify({ ...valid, root: undefined }),
    message: "/b/config.json: root: expected object, received undefined",
  },
  {
    title: "a relative working directory",
    text: JSON.stringify({ ...valid, process: { args: ["a"], cwd: "x" } }),
    message: "/b/config.json: process.cwd: expected an absolute path",
  },
];
for (const { title, text, message } of badConfigs)
  test(`a bundle's config.json with ${title} is refused with its place`, (t) => {
    t.throws(() => parseConfig(text, "/b/config.json"), { code: "BUNDLE_INVALID", message });
  });

test("a bundle without config.json, or without its root, is refused by name", async (t) => {
  const bundle = await mkdtemp(join(tmpdir(), "nexcage-bundle-"));
  t.teardown(() => rm(bundle, { recursive: true }));
  const spec = specOf({ source: { kind: "bundle", path: bundle } });
  const options = { bundle, cgroupsPath: "/nexcage/test" };
  await t.throwsAsync(bundleConfig(spec, options), {
    code: "BUNDLE_INVALID",
    message: `${bundle}/config.json does not exist`,
  });
  await writeFile(join(bundle, "config.json"), JSON.stringify(valid));
  await t.throwsAsync(bundleConfig(spec, options), {
    code: "BUNDLE_INVALID",
    message: `${bundle}/config.json: root.path: ${bundle}/rootfs is not a folder`,
  });
});

test("a word of the spec that the bundle says itself is refused, not ignored", async (t) => {
  const spec = specOf({ source: { kind: "bundle", path: "/b" }, command: ["/bin/app"] });
  await t.throwsAsync(bundleConfig(spec, { bundle: "/b", cgroupsPath: "/nexcage/test" }), {
    code: "SPEC_REFUSED",
    message: "command: the bundle's own config.json says it",
  });
});
