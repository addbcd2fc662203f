import type { SpecField } from "./costs.ts";
import type { ContainerSpec, Mount } from "./spec.ts";

/** A line of LXC's own in a guest's configuration. */
export type RawLine = { key: string; value: string };

/** For one field of a spec: the key of its lines, and their values; none where the spec does not say it. */
type Row = { field: SpecField; key: string; values: (spec: ContainerSpec) => (string | undefined)[] };

/** What Proxmox has no option for, as LXC's own lines. Source: lxc.container.conf(5). */
const rows: Row[] = [
  {
    field: "environment",
    key: "lxc.environment.runtime",
    values: ({ environment = {} }) => Object.entries(environment).map(([name, value]) => `${name}=${value}`),
  },
  { field: "user", key: "lxc.init.uid", values: ({ user }) => [user?.split(":")[0]] },
  { field: "user", key: "lxc.init.gid", values: ({ user }) => [user && (user.split(":")[1] ?? "0")] },
  { field: "workingDir", key: "lxc.init.cwd", values: ({ workingDir }) => [workingDir] },
  { field: "stopSignal", key: "lxc.signal.halt", values: ({ stopSignal }) => [stopSignal] },
  { field: "capDrop", key: "lxc.cap.keep", values: (spec) => [dropsAll(spec) ? "none" : undefined] },
  {
    field: "capDrop",
    key: "lxc.cap.drop",
    values: (spec) => [dropsAll(spec) ? undefined : spec.capDrop?.map(capability).join(" ")],
  },
  { field: "mounts", key: "lxc.mount.entry", values: ({ mounts = [] }) => mounts.flatMap(tmpfsEntry) },
  {
    field: "resources.pids",
    key: "lxc.cgroup2.pids.max",
    values: ({ resources }) => [resources?.pids?.toString()],
  },
  { field: "proxmox.idmap", key: "lxc.idmap", values: ({ proxmox }) => proxmox?.idmap ?? [] },
];

/** The lines that a container gets, for what pct has no option for. Pure. */
export function rawLinesOf(spec: ContainerSpec): RawLine[] {
  return rows.flatMap(({ key, values }) =>
    values(spec).flatMap((value) => (value === undefined ? [] : [{ key, value }])),
  );
}

/** The field of a spec that a key's lines come from; undefined for those that are not a spec's. Pure. */
export function fieldOfRawKey(key: string): SpecField | undefined {
  return rows.find((row) => row.key === key)?.field;
}

function dropsAll({ capDrop = [] }: ContainerSpec): boolean {
  return capDrop.includes("ALL");
}

function capability(name: string): string {
  return name.replace(/^CAP_/, "").toLowerCase();
}

function tmpfsEntry(mount: Mount): string[] {
  if (mount.type !== "tmpfs") return [];
  const { target, sizeBytes, mode } = mount;
  const options = [
    ...(sizeBytes === undefined ? [] : [`size=${sizeBytes}`]),
    ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
    "create=dir",
  ];
  return [mountEntry({ source: "tmpfs", target, type: "tmpfs", options }).value];
}

/** A mount as a line of LXC's, in the form of fstab(5). Pure. */
export function mountEntry({
  source,
  target,
  type,
  options,
}: {
  source: string;
  target: string;
  type: string;
  options: readonly string[];
}): RawLine {
  const words = [escaped(source), escaped(target.slice(1)), type, options.join(","), "0 0"];
  return { key: "lxc.mount.entry", value: words.join(" ") };
}

function escaped(path: string): string {
  return path.replaceAll("\\", "\\134").replaceAll(" ", "\\040").replaceAll("\t", "\\011");
}
