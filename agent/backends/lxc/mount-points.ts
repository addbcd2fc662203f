import { NexcageError } from "../../../shared/errors.ts";
import { type ContainerSpec, type Mount, type Volume, volumesOf } from "../../../shared/spec.ts";
import { type GuestConfig, parseProperties } from "./guest-config.ts";

/*
 * Which `mpN` of a guest is which mount of its spec. A bind mount is known by where it is mounted, a named
 * volume by what the guest's mark says of its name: it holds files, and a second one must not come beside it.
 */

/** Names of volumes → their `mpN`; for one that was detached, its volume, such as `local:100/vm-100-disk-1.raw`. */
export type VolumeKeys = Readonly<Record<string, string>>;

type Entry = {
  key: string;
  volume: string;
  target: string;
  properties: ReadonlyMap<string, string>;
  /** It goes with the next start, unless it is set again. */
  isLeaving: boolean;
};

/** The mount points of a guest as they will be with its next start. Pure. */
function entriesOf({ values, pending }: Pick<GuestConfig, "values" | "pending">): Entry[] {
  const leaving = (pending.get("delete") ?? "").split(/[,; ]+/).map((key) => key.replace(/^!/, ""));
  return [...new Map([...values, ...pending])].flatMap(([key, value]): Entry[] => {
    if (!/^mp\d+$/.test(key)) return [];
    const properties = parseProperties(value);
    const volume = properties.get("") ?? properties.get("volume") ?? "";
    const isLeaving = leaving.includes(key) && !pending.has(key);
    return [{ key, volume, target: properties.get("mp") ?? "", properties, isLeaving }];
  });
}

/**
 * The volumes that a guest has besides its root, mounted or not, by key: what stands beside their names, such as
 * `mp=/data,size=8G`; "" for `unusedN`. They go over to what replaces it. Pure.
 */
export function volumesIn(config: Pick<GuestConfig, "values" | "pending">): Map<string, string> {
  const mounted = entriesOf({ ...config, pending: new Map() }).filter(isVolume);
  const names = new Set(mounted.map(({ volume }) => volume));
  const unused = [...config.values].filter(([key, volume]) => /^unused\d+$/.test(key) && !names.has(volume));
  return new Map([
    ...mounted.map(({ key, properties }): [string, string] => [key, optionsIn(properties)]),
    ...unused.map(([key]): [string, string] => [key, ""]),
  ]);
}

/** The key under which a guest has a volume. Pure. */
export function keyOfVolume({ values }: Pick<GuestConfig, "values">, volume: string): string | undefined {
  return [...values].find(
    ([key, value]) => /^(mp|unused)\d+$/.test(key) && parseProperties(value).get("") === volume,
  )?.[0];
}

function optionsIn(properties: ReadonlyMap<string, string>): string {
  return [...properties]
    .flatMap(([key, value]) => (key === "" || key === "volume" ? [] : [`${key}=${value}`]))
    .join(",");
}

export type MountChanges = {
  /** `mpN` → its value; a volume that is not there yet is `STORAGE:GIB`. */
  set: Map<string, string>;
  remove: string[];
  /** Volumes that are too small, with what they should have. */
  grow: { key: string; bytes: number }[];
  volumes: VolumeKeys;
};

/**
 * What makes a guest's mount points those of a spec. What stands there and is not the spec's, nor was before,
 * is left alone. Pure.
 * @param now what the guest has, and what its mark says of its volumes
 * @param before the spec that it was made from
 * @param storage for volumes that do not say theirs
 * @throws {NexcageError} `SPEC_REFUSED` where a volume may be one that was detached by hand, or is hidden by another
 */
export function mountChanges(
  spec: ContainerSpec,
  {
    now,
    before,
    storage,
  }: {
    now: { vmid: number; config: Pick<GuestConfig, "values" | "pending">; volumes: VolumeKeys } | undefined;
    before?: ContainerSpec | undefined;
    storage: string;
  },
): MountChanges {
  const entries = now === undefined ? [] : entriesOf(now.config);
  const known = now?.volumes ?? {};
  const found = new Map<Mount, Entry>();
  const set = new Map<string, string>();
  const grow: MountChanges["grow"] = [];
  const volumes: Record<string, string> = {};
  const taken = new Set([...entries.map(({ key }) => key), ...Object.values(known)]);
  const mounts = (spec.mounts ?? []).filter((mount) => mount.type !== "tmpfs");
  for (const mount of mounts) {
    const entry = mount.type === "volume" ? findVolume(mount, entries, known) : findBind(mount, entries);
    if (entry !== undefined) found.set(mount, entry);
  }
  const order = new Map<string, string>();
  for (const mount of mounts) {
    const entry = found.get(mount);
    const key = entry?.key ?? lowestFree(taken);
    taken.add(key);
    order.set(mount.target, key);
    const value = wantedValue(mount, entry, () => volumeOf(mount, { now, known, storage }));
    if (value !== undefined) set.set(key, value);
    if (mount.type !== "volume") continue;
    volumes[mount.name] = key;
    const size = parseSize(entry?.properties.get("size"));
    if (size !== undefined && size < mount.sizeBytes) grow.push({ key, bytes: mount.sizeBytes });
  }
  requireOuterFirst(order);

  const used = new Set([...found.values()].map(({ key }) => key));
  const leaving = entries.filter(
    (entry) => !used.has(entry.key) && !entry.isLeaving && isOurs(entry, { known, before }),
  );
  for (const [name, key] of Object.entries(known)) {
    if (volumes[name] !== undefined) continue;
    volumes[name] = entries.find((entry) => entry.key === key)?.volume ?? key;
  }
  return { set, remove: leaving.map(({ key }) => key), grow, volumes };
}

/** By its mark; without one, such as right after its guest was made, by where it is mounted. */
function findVolume({ name, target }: Volume, entries: Entry[], known: VolumeKeys): Entry | undefined {
  const mounted = entries.filter(isVolume);
  const mark = known[name];
  if (mark !== undefined) return mounted.find(({ key, volume }) => key === mark || volume === mark);
  const others = new Set(Object.values(known));
  return mounted.find((entry) => entry.target === target && !others.has(entry.key));
}

function findBind({ target }: Mount, entries: Entry[]): Entry | undefined {
  return entries.find((entry) => !isVolume(entry) && entry.target === target);
}

/** The volume of a mount that is not there: a new one, or one that was detached. */
function volumeOf(
  mount: Exclude<Mount, { type: "tmpfs" }>,
  {
    now,
    known,
    storage,
  }: {
    now: { vmid: number; config: Pick<GuestConfig, "values"> } | undefined;
    known: VolumeKeys;
    storage: string;
  },
): string {
  if (mount.type === "bind") return mount.source;
  const unused = [...(now?.config.values ?? [])].filter(([key]) => /^unused\d+$/.test(key));
  const mark = known[mount.name];
  const detached = unused.find(([, volume]) => volume === mark)?.[1];
  if (detached !== undefined) return detached;
  const others = new Set(Object.values(known));
  const stray = unused.find(([, volume]) => !others.has(volume));
  if (mark !== undefined && stray !== undefined && now !== undefined) {
    const [key, volume] = stray;
    throw new NexcageError(
      "SPEC_REFUSED",
      `volumes: ${mount.name} was detached from guest ${now.vmid}, and its ${key} may be it`,
      {
        hint: `if it is: pct set ${now.vmid} --${mark} ${volume},mp=${mount.target}; if not: pct set ${now.vmid} --delete ${key}`,
      },
    );
  }
  return `${mount.storage ?? storage}:${mount.sizeBytes / 1024 ** 3}`;
}

/** What pct is to be told; undefined where it stands so. What a person said besides is kept. */
function wantedValue(
  mount: Exclude<Mount, { type: "tmpfs" }>,
  entry: Entry | undefined,
  newVolume: () => string,
): string | undefined {
  const wanted: Record<string, string | undefined> = {
    mp: mount.target,
    ro: mount.readOnly === true ? "1" : undefined,
    ...(mount.type === "volume" && { backup: mount.backup === true ? "1" : undefined }),
  };
  const isSource = mount.type === "volume" || entry?.volume === mount.source;
  const isSame = (key: string): boolean => {
    const found = entry?.properties.get(key);
    return (found === "0" ? undefined : found) === wanted[key];
  };
  if (entry?.isLeaving === false && isSource && Object.keys(wanted).every(isSame)) return undefined;
  const kept = [...(entry?.properties ?? [])].filter(
    ([key]) => key !== "" && key !== "volume" && !(key in wanted),
  );
  const volume = entry !== undefined && isSource ? entry.volume : newVolume();
  return [
    volume,
    ...[...Object.entries(wanted), ...kept].flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${value}`],
    ),
  ].join(",");
}

/** Of what is not in the spec any more: what the mark knows, and bind mounts that the last spec had. */
function isOurs(
  entry: Entry,
  { known, before }: { known: VolumeKeys; before: ContainerSpec | undefined },
): boolean {
  if (isVolume(entry))
    return Object.values(known).some((mark) => mark === entry.key) || isNamed(entry, before);
  return (before?.mounts ?? []).some((mount) => mount.type === "bind" && mount.target === entry.target);
}

function isNamed({ target }: Entry, before: ContainerSpec | undefined): boolean {
  return before !== undefined && volumesOf(before).some((volume) => volume.target === target);
}

/** Proxmox mounts by number: what is mounted inside of another must come after it. */
function requireOuterFirst(order: ReadonlyMap<string, string>): void {
  const number = (key: string): number => Number(key.slice("mp".length));
  for (const [outer, outerKey] of order)
    for (const [inner, innerKey] of order)
      if (inner.startsWith(`${outer.replace(/\/+$/, "")}/`) && number(innerKey) < number(outerKey))
        throw new NexcageError("SPEC_REFUSED", `volumes: ${outer} would be mounted over ${inner}`, {
          hint: `write ${outer} first; what a container has already keeps its place: mount the other somewhere else`,
        });
}

function isVolume({ volume }: Entry): boolean {
  return !volume.startsWith("/");
}

function lowestFree(taken: ReadonlySet<string>): string {
  for (let number = 0; ; number++) if (!taken.has(`mp${number}`)) return `mp${number}`;
}

/** `8G` → bytes; undefined for what is not said, or has no bound. Pure. */
export function parseSize(text: string | undefined): number | undefined {
  const [, number, unit = ""] = /^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text ?? "") ?? [];
  return number === undefined ? undefined : Number(number) * 1024 ** " KMGT".indexOf(unit || " ");
}
