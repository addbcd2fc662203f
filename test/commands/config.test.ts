import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { parse } from "yaml";
import { checkMaintenance } from "../../agent/backends/lxc/doctor.ts";
import { loadConfig, parseConfig, routeOf, settingsOf } from "../../agent/config.ts";

const file = "config.json";
const rule = (pattern: string) => ({ runtime: { routing: [{ pattern, runtime: "crun" }] } });

const routes: { pattern: string; id: string; matches: boolean }[] = [
  { pattern: "^(kube-ovn-.*|cilium-.*)$", id: "cilium-1", matches: true },
  { pattern: "^(kube-ovn-.*|cilium-.*)$", id: "my-cilium-1", matches: false },
  { pattern: ".*", id: "web", matches: true },
  { pattern: "*", id: "web", matches: true },
  { pattern: "dev-*", id: "dev-1", matches: true },
  { pattern: "dev-*", id: "mydev-1", matches: false },
];
for (const { pattern, id, matches } of routes)
  test(`routing: ${pattern} ${matches ? "is" : "is not"} a pattern of ${id}`, (t) => {
    t.is(routeOf(id, parseConfig(rule(pattern), file))?.runtime, matches ? "crun" : undefined);
  });

test("what no pattern matches has the default runtime, which 0.7 called proxmox-lxc", (t) => {
  const config = parseConfig({ ...rule("^a"), default_runtime: "proxmox-lxc" }, file);
  t.deepEqual(routeOf("a", config), { runtime: "crun", by: "its name matches ^a" });
  t.deepEqual(routeOf("b", config), { runtime: "lxc", by: "default_runtime" });
});

test("all examples of 0.7 are read, and what they say in vain is named", (t) => {
  const example = {
    ...{
      runtime_type: "proxmox-lxc",
      log_level: "debug",
      log_file: "/var/log/nexcage.log",
      data_dir: "/var",
    },
    network: { bridge: "vmbr0", ip: "10.0.0.9/24", gateway: "10.0.0.1" },
    security: { seccomp: true },
    proxmox: { hosts: ["a.example"], port: 8006, token: "root@pve!x", node: "a", rootfs_size_gb: 8 },
    runtime: { socket_path: "/run/x.sock", log_path: "/var/log/x" },
  };
  const config = parseConfig(example, file);
  t.deepEqual(settingsOf(config), [
    ...["log level debug", "bridge vmbr0", "ip 10.0.0.9/24", "gateway 10.0.0.1", "rootfs 8 GiB", "else lxc"],
  ]);
  t.deepEqual([...config.ignored].sort(), [
    ...["data_dir", "log_file", "proxmox.hosts", "proxmox.node", "proxmox.port", "proxmox.token"],
    ...["runtime.log_path", "runtime.socket_path", "security"],
  ]);
});

const packaged = join(import.meta.dirname, "../../packaging/debian/config.yaml");

test("the file of the Debian package has comments only, which set nothing", async (t) => {
  const config = await loadConfig(packaged);
  t.deepEqual(config && settingsOf(config), []);
  t.deepEqual(config?.ignored, []);
});

test("its examples hold without their #", async (t) => {
  const text = (await readFile(packaged, "utf8")).replaceAll(/^#(?! \S)/gm, "");
  const config = parseConfig(parse(text), packaged);
  t.deepEqual(settingsOf(config), [
    ...[
      "log level info",
      "bridge vmbr0",
      "ip dhcp",
      "gateway 10.20.8.1",
      "storage local-lvm",
      "rootfs 8 GiB",
    ],
    ...["unprivileged true", "^db-.*$ → lxc", "^(web|cache)-[0-9]+$ → crun", "else crun"],
  ]);
  t.deepEqual(config.ignored, []);
});

const mistakes: { value: object; message: string }[] = [
  { value: { netwrok: {} }, message: 'config.json: "netwrok" is not a field of it' },
  { value: { network: { birdge: "x" } }, message: 'config.json: network: "birdge" is not a field of it' },
  { value: rule("("), message: 'config.json: runtime.routing: "(" is no regular expression' },
  { value: { ociVersion: "1.0" }, message: "config.json: this is an OCI bundle's config.json" },
];
for (const { value, message } of mistakes)
  test(`refused: ${message}`, (t) => {
    t.throws(() => parseConfig(value, file), { code: "INVALID_FILE", message });
  });

test("a node in maintenance is told by what the HA manager has written of it", (t) => {
  const status = '{"node_status":{"pve1":"maintenance","pve10":"online"}}';
  t.is(checkMaintenance(status, "pve1")?.result, "warning");
  t.is(checkMaintenance(status, "pve10"), undefined);
  t.is(checkMaintenance("", "pve1"), undefined);
});
