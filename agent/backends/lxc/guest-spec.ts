import type { GuestConfig } from "./guest-config.ts";
import { parseProperties } from "./guest-config.ts";
import type { Guest } from "./guests.ts";
import type { HaResource } from "./ha.ts";
import { hostnameOf, ownTag } from "./options.ts";

const mebibyte = 1024 ** 2;

/**
 * What a guest that others have made would be as a spec, all but where its files come from; not checked yet,
 * and what no field can say is left out. Pure.
 */
export function fieldsOf(
  id: string,
  {
    vmid,
    config,
    mark,
    ha,
  }: Pick<Guest, "vmid" | "config"> & Partial<Pick<Guest, "mark">> & { ha: HaResource | undefined },
): object {
  const { values, raw } = config;
  const line = (key: string): string | undefined => raw.find((one) => one.key === key)?.value;
  const all = (key: string): string[] => raw.flatMap((one) => (one.key === key ? [one.value] : []));
  const hostname = values.get("hostname");
  const command = shellWords(values.get("entrypoint") ?? "");
  const environment = all("lxc.environment.runtime").map((text): [string, string] => {
    const end = text.indexOf("=");
    return [text.slice(0, end), text.slice(end + 1)];
  });
  const uid = line("lxc.init.uid");
  const names = new Map(Object.entries(mark?.volumes ?? {}).map(([name, key]) => [key, name]));
  const mounts = [
    ...numbered(values, "mp").flatMap((one) => mountOf(one, names)),
    ...all("lxc.mount.entry").flatMap(tmpfsOf),
  ];
  const networks = numbered(values, "net").flatMap(({ properties }) => networkOf(properties));
  const devices = numbered(values, "dev").map(({ properties }) => deviceOf(properties));
  const resources = plain({
    cpus: positive(values.get("cpulimit")),
    memoryBytes: mebibytes(values.get("memory")),
    swapBytes: mebibytes(values.get("swap")),
    pids: positive(line("lxc.cgroup2.pids.max")),
  });
  const capDrop =
    line("lxc.cap.keep") === "none"
      ? ["ALL"]
      : line("lxc.cap.drop")
          ?.split(" ")
          .map((name) => `CAP_${name.toUpperCase()}`)
          .sort();
  return plain({
    id,
    runtime: "lxc",
    command: command.length > 0 ? command : undefined,
    environment: environment.length > 0 ? Object.fromEntries(environment) : undefined,
    user: uid === undefined ? undefined : `${uid}:${line("lxc.init.gid") ?? "0"}`,
    workingDir: line("lxc.init.cwd"),
    hostname: hostname === undefined || hostname === hostnameOf(id) ? undefined : hostname,
    mounts: mounts.length > 0 ? mounts : undefined,
    resources: Object.keys(resources).length > 0 ? resources : undefined,
    readOnly: parseProperties(values.get("rootfs") ?? "").get("ro") === "1" ? true : undefined,
    capDrop,
    stopSignal: line("lxc.signal.halt"),
    networks: networks.length > 0 ? networks : undefined,
    devices: devices.length > 0 ? devices : undefined,
    proxmox: plain({ ...proxmoxOf(vmid, values), idmap: listOf(all("lxc.idmap")), ha: ha && haOf(ha) }),
  });
}

function proxmoxOf(vmid: number, values: GuestConfig["values"]): object {
  const rootfs = parseProperties(values.get("rootfs") ?? "");
  const storage = /^([A-Za-z][\w.-]*):/.exec(rootfs.get("") ?? "")?.[1];
  const said = parseProperties(values.get("features") ?? "");
  const features = plain({
    nesting: isOn(said, "nesting"),
    keyctl: isOn(said, "keyctl"),
    fuse: isOn(said, "fuse"),
    mknod: isOn(said, "mknod"),
  });
  const startup = parseProperties(values.get("startup") ?? "");
  const order = startup.get("order") ?? startup.get("");
  const numbers = plain({
    order: count(order),
    up: count(startup.get("up")),
    down: count(startup.get("down")),
  });
  const tags = (values.get("tags") ?? "").split(/[;, ]/).filter((tag) => tag !== "" && tag !== ownTag);
  return plain({
    vmid,
    storage,
    rootfsBytes: sizeOf(rootfs.get("size")),
    unprivileged: values.get("unprivileged") === "1" ? undefined : false,
    features: Object.keys(features).length > 0 ? features : undefined,
    onboot: values.get("onboot") === "1" ? true : undefined,
    startup: Object.keys(numbers).length > 0 ? numbers : undefined,
    tags: tags.length > 0 ? [...new Set(tags)].sort() : undefined,
    protection: values.get("protection") === "1" ? true : undefined,
    cores: positive(values.get("cores")),
    cpuunits: positive(values.get("cpuunits")),
    nameserver: listOf(values.get("nameserver")?.split(/[\s,;]+/) ?? []),
    searchdomain: listOf(values.get("searchdomain")?.split(/[\s,;]+/) ?? []),
    timezone: values.get("timezone"),
  });
}

function haOf({ state, ...limits }: HaResource): object {
  return { ...limits, state: state === "ignored" ? state : "started" };
}

type Numbered = { key: string; properties: Map<string, string> };

function numbered(values: GuestConfig["values"], kind: "net" | "mp" | "dev"): Numbered[] {
  return [...values]
    .flatMap(([key, value]): [number, string][] => {
      const number = key.startsWith(kind) ? key.slice(kind.length) : "";
      return /^\d+$/.test(number) ? [[Number(number), value]] : [];
    })
    .sort(([a], [b]) => a - b)
    .map(([number, value]) => ({ key: `${kind}${number}`, properties: parseProperties(value) }));
}

/** A volume without a name of ours is called by its key. */
function mountOf({ key, properties }: Numbered, names: ReadonlyMap<string, string>): object[] {
  const [source = "", target = ""] = [properties.get(""), properties.get("mp")];
  const readOnly = properties.get("ro") === "1" ? true : undefined;
  if (source.startsWith("/")) return [{ type: "bind", source, target, ...plain({ readOnly }) }];
  const [, storage] = /^([A-Za-z][\w.-]*):/.exec(source) ?? [];
  const backup = properties.get("backup") === "1" ? true : undefined;
  const sizeBytes = sizeOf(properties.get("size"));
  return [
    {
      type: "volume",
      name: names.get(key) ?? key,
      target,
      ...plain({ sizeBytes, storage, backup, readOnly }),
    },
  ];
}

function deviceOf(properties: Map<string, string>): object {
  return {
    path: properties.get("") ?? properties.get("path"),
    ...plain({
      mode: properties.get("mode"),
      uid: count(properties.get("uid")),
      gid: count(properties.get("gid")),
      denyWrite: isOn(properties, "deny-write"),
    }),
  };
}

function tmpfsOf(entry: string): object[] {
  const [, inside, options = ""] = /^tmpfs (\S+) tmpfs (\S+) 0 0$/.exec(entry) ?? [];
  if (inside === undefined) return [];
  const properties = parseProperties(options);
  const target = `/${inside.replaceAll(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))}`;
  const mode = properties.get("mode");
  return [
    {
      ...{ type: "tmpfs", target },
      ...plain({
        sizeBytes: positive(properties.get("size")),
        mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
      }),
    },
  ];
}

function networkOf(properties: Map<string, string>): object[] {
  const [name, bridge] = [properties.get("name"), properties.get("bridge")];
  if (name === undefined || bridge === undefined) return [];
  const address = (key: string): string | undefined => {
    const value = properties.get(key)?.toLowerCase();
    return value === "manual" ? undefined : value;
  };
  return [
    {
      ...{ name, bridge },
      ...plain({
        ip: address("ip"),
        gateway: address("gw"),
        ip6: address("ip6"),
        gateway6: address("gw6"),
        vlan: positive(properties.get("tag")),
        mtu: positive(properties.get("mtu")),
        firewall: properties.get("firewall") === "1" ? true : undefined,
      }),
    },
  ];
}

/** As a shell splits it: quotes and backslashes. Pure. */
export function shellWords(text: string): string[] {
  const words = text.match(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/gs) ?? [];
  return words.map((word) =>
    word.replaceAll(/\\(.)|'([^']*)'|"((?:[^"\\]|\\.)*)"/gs, (_, escaped, single, double) =>
      escaped !== undefined ? escaped : (single ?? String(double).replaceAll(/\\(["\\$`])/g, "$1")),
    ),
  );
}

function isOn(properties: ReadonlyMap<string, string>, name: string): true | undefined {
  return properties.get(name) === "1" ? true : undefined;
}

function mebibytes(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text) * mebibyte;
}

function sizeOf(text: string | undefined): number | undefined {
  const [, number, unit = ""] = /^(\d+)([KMGT]?)$/.exec(text ?? "") ?? [];
  const bytes = Number(number ?? 0) * 1024 ** " KMGT".indexOf(unit || " ");
  return bytes > 0 && bytes % mebibyte === 0 ? bytes : undefined;
}

function positive(text: string | undefined): number | undefined {
  return Number(text) > 0 ? Number(text) : undefined;
}

function count(text: string | undefined): number | undefined {
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}

function listOf(items: string[]): string[] | undefined {
  return items.length > 0 ? items : undefined;
}

/** The fields that say something. */
function plain(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
