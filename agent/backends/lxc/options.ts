import type { SpecField } from "../../../shared/costs.ts";
import type { ContainerSpec, Device, Network } from "../../../shared/spec.ts";

/*
 * The mapping of a container to the options of pct(1), one row for each. What pct has no option for is in
 * shared/raw-lines.ts, mounts are in mount-points.ts, and what an option costs on a running container is in
 * shared/costs.ts.
 */

const mebibyte = 1024 ** 2;

/** The tag of everything that nexcage has made. */
export const ownTag = "nexcage";

type Row = {
  option: string;
  field: SpecField;
  /** Undefined where the spec leaves it to Proxmox. */
  write: (spec: ContainerSpec) => string | undefined;
};

const rows: Row[] = [
  {
    option: "hostname",
    field: "hostname",
    // A bundle's own, where its spec has none (whole.ts).
    write: ({ id, hostname, source }) => hostname ?? (source.kind === "bundle" ? undefined : hostnameOf(id)),
  },
  {
    option: "memory",
    field: "resources.memoryBytes",
    write: ({ resources }) => mebibytes(resources?.memoryBytes),
  },
  { option: "swap", field: "resources.swapBytes", write: ({ resources }) => mebibytes(resources?.swapBytes) },
  { option: "cpulimit", field: "resources.cpus", write: ({ resources }) => resources?.cpus?.toString() },
  { option: "cores", field: "proxmox.cores", write: ({ proxmox }) => proxmox?.cores?.toString() },
  { option: "cpuunits", field: "proxmox.cpuunits", write: ({ proxmox }) => proxmox?.cpuunits?.toString() },
  { option: "entrypoint", field: "command", write: ({ command }) => command?.map(quote).join(" ") },
  {
    option: "features",
    field: "proxmox.features",
    write: ({ proxmox }) =>
      properties(Object.entries(proxmox?.features ?? {}).map(([name, isOn]) => [name, flag(isOn)])),
  },
  { option: "onboot", field: "proxmox.onboot", write: ({ proxmox }) => flag(proxmox?.onboot) },
  {
    option: "startup",
    field: "proxmox.startup",
    write: ({ proxmox }) => properties(Object.entries(proxmox?.startup ?? {})),
  },
  { option: "protection", field: "proxmox.protection", write: ({ proxmox }) => flag(proxmox?.protection) },
  {
    option: "tags",
    field: "proxmox.tags",
    write: ({ proxmox }) => [...new Set([ownTag, ...(proxmox?.tags ?? [])])].sort().join(";"),
  },
  {
    option: "nameserver",
    field: "proxmox.nameserver",
    write: ({ proxmox }) => proxmox?.nameserver?.join(" "),
  },
  {
    option: "searchdomain",
    field: "proxmox.searchdomain",
    write: ({ proxmox }) => proxmox?.searchdomain?.join(" "),
  },
  { option: "timezone", field: "proxmox.timezone", write: ({ proxmox }) => proxmox?.timezone },
];

/** What an option is where a spec leaves it to Proxmox, and it cannot be taken away. */
export const required: Readonly<Record<string, string>> = { memory: "512", swap: "512" };

/** The field of a spec that an option comes from; undefined for one that no spec says. Pure. */
export function fieldOfOption(option: string): SpecField | undefined {
  if (/^net\d+$/.test(option)) return "networks";
  if (/^dev\d+$/.test(option)) return "devices";
  if (/^mp\d+$/.test(option)) return "mounts";
  return rows.find((row) => row.option === option)?.field;
}

/**
 * What pct is told of a container, by option; mounts are in mount-points.ts. Interfaces and devices are
 * numbered in the spec's order. Pure. Source: pct(1).
 * @param macs by interface name: a `netN` without its address would get a new one with each `set`
 */
export function optionsOf(
  spec: ContainerSpec,
  { macs = new Map() }: { macs?: ReadonlyMap<string, string> } = {},
): Map<string, string> {
  const options = new Map<string, string>();
  for (const { option, write } of rows) {
    const value = write(spec);
    if (value !== undefined) options.set(option, value);
  }
  const isHostManaged = spec.source.kind !== "template"; // it has no init that would configure them
  spec.networks?.forEach((network, index) => {
    options.set(`net${index}`, networkOption(network, { mac: macs.get(network.name), isHostManaged }));
  });
  spec.devices?.forEach((device, index) => {
    options.set(`dev${index}`, deviceOption(device));
  });
  return options;
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

function deviceOption({ path, mode, uid, gid, denyWrite }: Device): string {
  const options = properties([
    ["mode", mode],
    ["uid", uid],
    ["gid", gid],
    ["deny-write", flag(denyWrite)],
  ]);
  return options === undefined ? path : `${path},${options}`;
}

/** As a shell reads it back, which is how LXC splits an entry point. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
