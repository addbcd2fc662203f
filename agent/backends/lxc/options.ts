import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerSpec, Mount, Network } from "../../../shared/spec.ts";

/*
 * The mapping of a container to Proxmox: each field of the spec is an option of pct, a raw line of LXC's,
 * or refused by name. What an option costs on a running container is in shared/costs.ts.
 */

const mebibyte = 1024 ** 2;

/** The tag of everything that nexcage has made. */
export const ownTag = "nexcage";

type Rows = { [option: string]: (spec: ContainerSpec) => string | undefined };

/** Options of `pct create` and `pct set`: undefined where the spec leaves it to Proxmox. */
const rows: Rows = {
  hostname: ({ id, hostname }) => hostname ?? hostnameOf(id),
  memory: ({ resources }) => mebibytes(resources?.memoryBytes),
  swap: ({ resources }) => mebibytes(resources?.swapBytes),
  cpulimit: ({ resources }) => resources?.cpus?.toString(),
  entrypoint: ({ command }) => command?.map(quote).join(" "),
  features: ({ proxmox }) =>
    properties(Object.entries(proxmox?.features ?? {}).map(([name, isOn]) => [name, flag(isOn)])),
  onboot: ({ proxmox }) => flag(proxmox?.onboot),
  startup: ({ proxmox }) => properties(Object.entries(proxmox?.startup ?? {})),
  protection: ({ proxmox }) => flag(proxmox?.protection),
  tags: ({ proxmox }) => [...new Set([ownTag, ...(proxmox?.tags ?? [])])].sort().join(";"),
};

/**
 * What pct is told of a container, by option. Interfaces and bind mounts are numbered in the spec's order.
 * Pure. Source: pct(1).
 * @param macs by interface name: a `netN` without its address would get a new one with each `set`
 */
export function optionsOf(
  spec: ContainerSpec,
  { macs = new Map() }: { macs?: ReadonlyMap<string, string> } = {},
): Map<string, string> {
  const options = new Map<string, string>();
  for (const [option, row] of Object.entries(rows)) {
    const value = row(spec);
    if (value !== undefined) options.set(option, value);
  }
  const isHostManaged = spec.source.kind === "image"; // it has no init that would configure them
  spec.networks?.forEach((network, index) => {
    options.set(`net${index}`, networkOption(network, { mac: macs.get(network.name), isHostManaged }));
  });
  binds(spec).forEach((mount, index) => {
    const value = properties([
      ["mp", mount.target],
      ["ro", mount.readOnly === true ? "1" : undefined],
    ]);
    options.set(`mp${index}`, `${mount.source},${value}`);
  });
  return options;
}

/** The lines of LXC's own for what pct has no option for. Pure. Source: lxc.container.conf(5). */
export function rawLinesOf(
  spec: ContainerSpec,
  { consoleLog }: { consoleLog: string },
): { key: string; value: string }[] {
  const [uid, gid] = spec.user?.split(":") ?? [];
  const dropsAll = spec.capDrop?.includes("ALL") === true;
  const lines: [string, string | undefined][] = [
    ...Object.entries(spec.environment ?? {}).map(([name, value]): [string, string] => [
      "lxc.environment.runtime",
      `${name}=${value}`,
    ]),
    ["lxc.init.uid", uid],
    ["lxc.init.gid", uid === undefined ? undefined : (gid ?? "0")],
    ["lxc.init.cwd", spec.workingDir],
    ["lxc.signal.halt", spec.stopSignal],
    ["lxc.cap.keep", dropsAll ? "none" : undefined],
    ["lxc.cap.drop", dropsAll ? undefined : spec.capDrop?.map(capability).join(" ")],
    ...(spec.mounts ?? []).flatMap((mount): [string, string][] =>
      mount.type === "tmpfs" ? [["lxc.mount.entry", tmpfsEntry(mount)]] : [],
    ),
    ["lxc.cgroup2.pids.max", spec.resources?.pids?.toString()],
    ["lxc.console.logfile", consoleLog],
  ];
  return lines.flatMap(([key, value]) => (value === undefined ? [] : [{ key, value }]));
}

/**
 * Refuses by name what Proxmox cannot hold. Pure.
 * @throws {NexcageError} `SPEC_REFUSED`
 */
export function requireMappable(spec: ContainerSpec): void {
  const refuse = (field: string, reason: string, hint: string): never => {
    throw new NexcageError("SPEC_REFUSED", `${field}: ${reason}`, { hint });
  };
  if (spec.source.kind === "bundle")
    refuse("bundle", "lxc makes no container from a bundle", "name a rootfs or a template");
  if (spec.capAdd !== undefined)
    refuse("cap_add", "LXC adds no capabilities", "leave out cap_drop for those that are dropped");
  if (spec.user !== undefined && !/^\d+(:\d+)?$/.test(spec.user))
    refuse("user", `${JSON.stringify(spec.user)} is a name`, "lxc takes numbers, as in 1000:1000");
  for (const [name, value] of Object.entries(spec.environment ?? {}))
    if (/[\r\n]/.test(value))
      refuse(`environment.${name}`, "a value of several lines cannot be kept by Proxmox", "put it in a file");
  for (const [field, bytes] of Object.entries({
    "resources.memory": spec.resources?.memoryBytes,
    "resources.swap": spec.resources?.swapBytes,
    "proxmox.rootfs_size": spec.proxmox?.rootfsBytes,
  }))
    if (bytes !== undefined && bytes % mebibyte !== 0)
      refuse(field, `${bytes} bytes are no whole number of MiB`, "Proxmox counts in MiB");
  for (const { source, target } of binds(spec))
    if (/[,\n]/.test(source + target)) refuse("volumes", `${source} has a comma in it`, "pct cannot hold it");
}

/** What differs between two sets of options, as `pct set` takes it. Pure. */
export function changedOptions(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): { set: Map<string, string>; remove: string[] } {
  return {
    set: new Map([...after].filter(([option, value]) => before.get(option) !== value)),
    remove: [...before.keys()].filter((option) => !after.has(option)),
  };
}

/** `--memory 512 --swap 0 …` Pure. */
export function toArguments(options: ReadonlyMap<string, string>): string[] {
  return [...options].flatMap(([option, value]) => [`--${option}`, value]);
}

/** A hostname takes fewer characters than an id. Pure. */
export function hostnameOf(id: string): string {
  return id
    .replaceAll(/[^A-Za-z0-9-]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 63);
}

function mebibytes(bytes: number | undefined): string | undefined {
  return bytes === undefined ? undefined : String(bytes / mebibyte);
}

function flag(isOn: boolean | undefined): string | undefined {
  return isOn === undefined ? undefined : isOn ? "1" : "0";
}

function properties(pairs: [string, string | number | undefined][]): string | undefined {
  const said = pairs.filter(([, value]) => value !== undefined);
  return said.length === 0 ? undefined : said.map(([key, value]) => `${key}=${value}`).join(",");
}

function networkOption(
  network: Network,
  { mac, isHostManaged }: { mac: string | undefined; isHostManaged: boolean },
): string {
  const pairs: [string, string | number | undefined][] = [
    ["name", network.name],
    ["bridge", network.bridge],
    ["hwaddr", network.mac ?? mac],
    ["ip", network.ip],
    ["gw", network.gateway],
    ["ip6", network.ip6],
    ["gw6", network.gateway6],
    ["tag", network.vlan],
    ["mtu", network.mtu],
    ["firewall", flag(network.firewall)],
    ["host-managed", isHostManaged ? "1" : undefined],
  ];
  return properties(pairs) ?? "";
}

function binds({ mounts = [] }: ContainerSpec): Extract<Mount, { type: "bind" }>[] {
  return mounts.filter((mount) => mount.type === "bind");
}

function tmpfsEntry({ target, sizeBytes, mode }: Extract<Mount, { type: "tmpfs" }>): string {
  const inside = target.slice(1).replaceAll("\\", "\\134").replaceAll(" ", "\\040").replaceAll("\t", "\\011");
  const options = [
    ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
    ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
    "create=dir",
  ];
  return `tmpfs ${inside} tmpfs ${options.join(",")} 0 0`;
}

function capability(name: string): string {
  return name.replace(/^CAP_/, "").toLowerCase();
}

/** As a shell reads it back, which is how LXC splits an entry point. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
