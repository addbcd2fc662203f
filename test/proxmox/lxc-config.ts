// /var/lib/lxc/VMID/config as it is written at each start. The conf has PVE 9's words; where LXC 5.0.2 has
// none for them (`lxc.environment.runtime`, quotes in an entrypoint), what it gets means the same.
import { chmodSync, copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import type { Conf } from "./conf.ts";
import { type Interface, interfaces, plugScript } from "./networks.ts";
import { lxcDir, rootfsDir } from "./paths.ts";
import { idOffset } from "./volumes.ts";

const isV2 = existsSync("/sys/fs/cgroup/cgroup.controllers");
const wrapperDir = "dev/.init";

/** Writes the config and the scripts that it names. */
export function writeLxcConfig(vmid: string, conf: Conf): void {
  const dir = lxcDir(vmid);
  mkdirSync(`${dir}/passthrough`, { recursive: true });
  for (const each of interfaces(conf)) {
    const script = plugFile(vmid, each);
    writeFileSync(script, plugScript(vmid, each));
    chmodSync(script, 0o755);
  }
  writeFileSync(`${dir}/config`, `${lxcConfig(vmid, conf).join("\n")}\n`);
}

function plugFile(vmid: string, { number }: Interface): string {
  return `${lxcDir(vmid)}/passthrough/net${number}.sh`;
}

function lxcConfig(vmid: string, conf: Conf): string[] {
  const { values } = conf;
  const isUnprivileged = values.get("unprivileged") === "1";
  return [
    "lxc.cgroup.relative = 0",
    `lxc.cgroup.dir.monitor = lxc.monitor/${vmid}`,
    `lxc.cgroup.dir.container = lxc/${vmid}`,
    "lxc.cgroup.dir.container.inner = ns",
    `lxc.arch = ${values.get("arch") ?? "amd64"}`,
    "lxc.include = /usr/share/lxc/config/common.conf",
    ...(isUnprivileged ? ["lxc.include = /usr/share/lxc/config/userns.conf", ...idmap(conf)] : []),
    `lxc.tty.max = ${values.get("tty") ?? "2"}`,
    "lxc.environment = TERM=linux",
    `lxc.uts.name = ${values.get("hostname") ?? `CT${vmid}`}`,
    ...limits(conf),
    `lxc.rootfs.path = ${rootfsDir(vmid)}`,
    ...devices(conf),
    ...interfaces(conf).flatMap((each) => interfaceLines(vmid, each)),
    `lxc.hook.post-stop = ${import.meta.dirname}/post-stop.sh`,
    ...entrypoint(vmid, values.get("entrypoint")),
    ...(values.get("env")?.split("\0") ?? []).map((variable) => `lxc.environment = ${variable}`),
    ...conf.lxc.map(([key, value]) => `${key} = ${value}`),
  ];
}

function idmap({ lxc }: Conf): string[] {
  if (lxc.some(([key]) => key === "lxc.idmap")) return [];
  return ["u", "g"].map((kind) => `lxc.idmap = ${kind} 0 ${idOffset} 65536`);
}

/** In force from the start, as on a real host. */
function limits({ values }: Conf): string[] {
  const mebibyte = 2 ** 20;
  const memory = Number(values.get("memory") ?? 512) * mebibyte;
  const swap = Number(values.get("swap") ?? 512) * mebibyte;
  const cpulimit = Number(values.get("cpulimit") ?? 0);
  const cpuunits = values.get("cpuunits");
  const quota = Math.round(cpulimit * 100_000);
  if (isV2)
    return [
      `lxc.cgroup2.memory.max = ${memory}`,
      `lxc.cgroup2.memory.high = ${Math.trunc((memory * 1016) / 1024)}`,
      `lxc.cgroup2.memory.swap.max = ${swap}`,
      ...(quota > 0 ? [`lxc.cgroup2.cpu.max = ${quota} 100000`] : []),
      ...(cpuunits === undefined ? [] : [`lxc.cgroup2.cpu.weight = ${cpuunits}`]),
    ];
  const hasSwapLimit = existsSync("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes");
  return [
    `lxc.cgroup.memory.limit_in_bytes = ${memory}`,
    ...(hasSwapLimit ? [`lxc.cgroup.memory.memsw.limit_in_bytes = ${memory + swap}`] : []),
    ...(quota > 0 ? [`lxc.cgroup.cpu.cfs_quota_us = ${quota}`] : []),
    ...(cpuunits === undefined ? [] : [`lxc.cgroup.cpu.shares = ${cpuunits}`]),
  ];
}

function devices({ values }: Conf): string[] {
  return [...values]
    .filter(([key]) => /^dev\d+$/.test(key))
    .map(([, value]) => value.split(",")[0]?.replace(/^path=/, "") ?? "")
    .map((path) => `lxc.mount.entry = ${path} ${path.slice(1)} none bind,create=file 0 0`);
}

function interfaceLines(vmid: string, each: Interface): string[] {
  const { number, properties } = each;
  const key = `lxc.net.${number}`;
  const isHostManaged = properties["host-managed"] === "1";
  return [
    `${key}.type = veth`,
    `${key}.veth.pair = veth${vmid}i${number}`,
    `${key}.hwaddr = ${properties.hwaddr}`,
    `${key}.name = ${properties.name}`,
    `${key}.script.up = ${plugFile(vmid, each)}`,
    ...(properties.mtu === undefined ? [] : [`${key}.mtu = ${properties.mtu}`]),
    ...(properties.link_down === "1" ? [] : [`${key}.flags = up`]),
    ...(isHostManaged ? hostManaged(key, properties) : []),
  ];
}

function hostManaged(key: string, { ip, gw, ip6, gw6 }: Record<string, string>): string[] {
  return [
    ...(ip?.includes("/") ? [`${key}.ipv4.address = ${ip}`] : []),
    ...(gw === undefined ? [] : [`${key}.ipv4.gateway = ${gw}`]),
    ...(ip6?.includes("/") ? [`${key}.ipv6.address = ${ip6}`] : []),
    ...(gw6 === undefined ? [] : [`${key}.ipv6.gateway = ${gw6}`]),
  ];
}

/** LXC 5.0.2 splits at blanks and knows no quotes: a script with a shell of its own does it as PVE 9.1's LXC. */
function entrypoint(vmid: string, command: string | undefined): string[] {
  if (command === undefined) return [];
  if (!/['"\\]/.test(command)) return [`lxc.init.cmd = ${command}`];
  const dir = `${lxcDir(vmid)}/passthrough/init`;
  mkdirSync(dir, { recursive: true });
  copyFileSync("/bin/busybox", `${dir}/busybox`);
  writeFileSync(`${dir}/init`, `#!/${wrapperDir}/busybox sh\nexec ${command}\n`);
  chmodSync(`${dir}/init`, 0o755);
  return [
    `lxc.mount.entry = ${dir} ${wrapperDir} none bind,ro,create=dir 0 0`,
    `lxc.init.cmd = /${wrapperDir}/init`,
  ];
}
