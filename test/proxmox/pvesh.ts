// pvesh get PATH: the calls of the API that are used, with the recorded fields.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism, totalmem, uptime } from "node:os";
import { findConf, listGuests, readConf } from "./cluster.ts";
import { Failure, ParameterFailure } from "./failure.ts";
import { isManaged } from "./ha.ts";
import { readKnobs } from "./knobs.ts";
import { initPid } from "./lxc.ts";
import { node, pve } from "./paths.ts";
import { runAnyway } from "./run.ts";
import { type Fields, guestStatus } from "./status.ts";
import { listStorages, listVolumes, requireStorage, storageRoom } from "./storage.ts";
import { isRunning, logFile, parseUpid } from "./tasks.ts";
import { withPending } from "./verbs/read.ts";

type Json = string | number | Json[] | { [key: string]: Json };
type Query = ReadonlyMap<string, string>;
type Get = (parts: readonly string[], query: Query) => Json | Promise<Json>;

const routes: readonly [pattern: RegExp, get: Get][] = [
  [/^\/cluster\/nextid$/, (_, query) => nextId(query.get("vmid"))],
  [/^\/version$/, () => version()],
  [/^\/nodes$/, () => [nodeFields()]],
  [/^\/cluster\/status$/, () => clusterStatus()],
  [/^\/cluster\/resources$/, (_, query) => resources(query.get("type"))],
  [/^\/nodes\/([^/]+)\/lxc$/, () => listContainers()],
  [/^\/nodes\/([^/]+)\/lxc\/(\d+)\/config$/, ([, vmid = ""], query) => config(vmid, query.get("current"))],
  [/^\/nodes\/([^/]+)\/lxc\/(\d+)\/status\/current$/, async ([, vmid = ""]) => currentStatus(vmid)],
  [/^\/nodes\/([^/]+)\/lxc\/(\d+)\/interfaces$/, ([, vmid = ""]) => guestInterfaces(vmid)],
  [/^\/nodes\/([^/]+)\/tasks\/([^/]+)\/status$/, ([, upid = ""]) => taskStatus(upid)],
  [/^\/nodes\/([^/]+)\/tasks\/([^/]+)\/log$/, ([, upid = ""], query) => taskLog(upid, query)],
  [/^\/nodes\/([^/]+)\/network$/, () => bridges()],
  [/^\/nodes\/([^/]+)\/storage$/, () => listStorages().map(storageFields)],
  [/^\/nodes\/([^/]+)\/storage\/([^/]+)\/content$/, ([, name = ""]) => content(name)],
];

/** JSON where it is asked for; other formats are tables on a real node, and here JSON with line breaks. */
export async function pvesh(argv: readonly string[]): Promise<number> {
  const [command, path = "", ...words] = argv;
  const query = new Map<string, string>();
  for (let index = 0; index < words.length; index += 2)
    query.set((words[index] ?? "").replace(/^--?/, ""), words[index + 1] ?? "");
  for (const [pattern, get] of routes) {
    const match = pattern.exec(path.replace(/\/$/, ""));
    if (match === null || command !== "get") continue;
    const parts = match.slice(1);
    if (path.startsWith("/nodes/")) requireNode(parts[0] ?? "");
    const answer = await get(parts, query);
    const isJson = query.get("output-format")?.startsWith("json") ?? false;
    const plain = typeof answer === "string" && !isJson;
    process.stdout.write(
      plain ? `${answer}\n` : `${JSON.stringify(answer, undefined, isJson ? undefined : 2)}\n`,
    );
    return 0;
  }
  throw new Failure(`No '${command}' handler defined for '${path}'`, { exitCode: 1 });
}

function requireNode(name: string): void {
  if (name !== node && name !== "localhost")
    throw new Failure(
      `hostname lookup '${name}' failed - failed to get address info for: ${name}: Name or service not known`,
    );
}

/** Looks at guests only, and reserves nothing. A string, also in JSON. */
function nextId(vmid: string | undefined): Json {
  const guests = listGuests();
  if (vmid !== undefined) {
    if (guests.has(vmid)) throw new ParameterFailure({ vmid: `VM ${vmid} already exists` });
    return vmid;
  }
  const text = existsSync(`${pve}/datacenter.cfg`) ? readFileSync(`${pve}/datacenter.cfg`, "utf8") : "";
  const [, range = ""] = /^next-id:\s*(.*)$/m.exec(text) ?? [];
  const lower = Number(/lower=(\d+)/.exec(range)?.[1] ?? 100);
  const upper = Number(/upper=(\d+)/.exec(range)?.[1] ?? 1_000_000);
  for (let id = lower; id < upper; id++) if (!guests.has(String(id))) return String(id);
  throw new Failure(`unable to get any free VMID in range [${lower}, ${upper}]`);
}

export function version(): { release: string; repoid: string; version: string } {
  return readKnobs().pveVersion === 8
    ? { release: "8.4", repoid: "2a5fa54a8503f96d", version: "8.4.1" }
    : { release: "9.2", repoid: "14a22df35955", version: "9.2.11" };
}

function nodeFields(): Fields {
  const { total, used } = storageRoom(requireStorage("local"));
  return {
    ...{ id: `node/${node}`, node, status: "online", type: "node", cpu: 0.02, level: "" },
    ...{ maxcpu: availableParallelism(), mem: 0, maxmem: totalmem(), disk: used, maxdisk: total },
    ...{ uptime: Math.trunc(uptime()), ssl_fingerprint: "AA:BB" },
  };
}

function clusterStatus(): Json {
  return [
    {
      id: `node/${node}`,
      ip: "10.77.0.1",
      level: "",
      local: 1,
      name: node,
      nodeid: 0,
      online: 1,
      type: "node",
    },
  ];
}

function containers(): string[] {
  return [...listGuests()]
    .filter(([, guest]) => guest.type === "lxc" && guest.node === node)
    .map(([vmid]) => vmid);
}

async function listContainers(): Promise<Json> {
  return await Promise.all(containers().map(async (vmid) => ({ ...(await guestStatus(vmid)), cpu: 0 })));
}

async function resources(type: string | undefined): Promise<Json> {
  const storages = listStorages().map((storage) => ({
    ...{ id: `storage/${node}/${storage.name}`, node, storage: storage.name, type: "storage" },
    ...{ plugintype: storage.type, shared: storage.shared ? 1 : 0, content: storage.content.join() },
    status: storage.disabled ? "unknown" : "available",
  }));
  const guests = await Promise.all(
    containers().map(async (vmid) => {
      const { cpus = 1, ...fields } = await guestStatus(vmid);
      const template = Number(findConf(vmid)?.values.get("template") ?? 0);
      return { id: `lxc/${vmid}`, node, ...fields, maxcpu: cpus, cpu: 0, template };
    }),
  );
  if (type === "vm") return guests;
  return type === "storage" ? storages : [...guests, nodeFields(), ...storages];
}

const textFields = new Set(["cpulimit", "hostname", "tags", "nameserver", "startup"]);

function config(vmid: string, current: string | undefined): Json {
  const conf = readConf(vmid);
  const { values, description, lxc } = current === "1" ? conf : withPending(conf);
  const fields = [...values].map(([key, value]): [string, Json] => {
    const isNumber = /^\d+$/.test(value) && !textFields.has(key);
    return [key, isNumber ? Number(value) : value];
  });
  return {
    ...Object.fromEntries(fields),
    ...(description !== undefined && { description }),
    ...(lxc.length > 0 && { lxc }),
    digest: conf.digest,
  };
}

async function currentStatus(vmid: string): Promise<Json> {
  return { ...(await guestStatus(vmid)), ha: { managed: isManaged(vmid) ? 1 : 0 } };
}

type Link = {
  ifname: string;
  address: string;
  addr_info: { local: string; family: string; prefixlen: number }[];
};

async function guestInterfaces(vmid: string): Promise<Json> {
  readConf(vmid);
  const pid = await initPid(vmid);
  if (pid === undefined) return [];
  const args = [`--target=${pid}`, "--net", "ip", "-json", "address"];
  const { output } = await runAnyway("nsenter", args, { output: "capture" });
  const links: Link[] = JSON.parse(output);
  return links.map(({ ifname, address, addr_info }) => {
    const named = (family: string) => addr_info.filter((each) => each.family === family);
    const first = named("inet")[0];
    const first6 = named("inet6")[0];
    return {
      ...{ name: ifname, "hardware-address": address, hwaddr: address },
      "ip-addresses": addr_info.map(({ local, family, prefixlen }) => ({
        ...{ "ip-address": local, "ip-address-type": family, prefix: prefixlen },
      })),
      ...(first !== undefined && { inet: `${first.local}/${first.prefixlen}` }),
      ...(first6 !== undefined && { inet6: `${first6.local}/${first6.prefixlen}` }),
    };
  });
}

function logLines(upid: string): string[] {
  const file = logFile(upid);
  if (!existsSync(file)) throw new Failure(`no such task`);
  return readFileSync(file, "utf8").replace(/\n$/, "").split("\n");
}

function taskStatus(upid: string): Json {
  const { id, pid, pstart, starttime, type, user } = parseUpid(upid);
  const last = logLines(upid).at(-1) ?? "";
  const [, end] = /^TASK (?:ERROR: )?(.*)$/.exec(last) ?? [];
  const running = isRunning(upid);
  return {
    ...{ id, node, pid, pstart, starttime, type, upid, user },
    status: running ? "running" : "stopped",
    ...(!running && { exitstatus: end ?? "unexpected status" }),
  };
}

function taskLog(upid: string, query: Query): Json {
  const start = Number(query.get("start") ?? 0);
  const limit = Number(query.get("limit") ?? 50);
  return logLines(upid)
    .map((line, index) => ({ n: index + 1, t: line }))
    .slice(start, start + limit);
}

function bridges(): Json {
  return readdirSync("/sys/class/net")
    .filter((iface) => existsSync(`/sys/class/net/${iface}/bridge`))
    .map((iface) => ({ active: 1, autostart: 1, bridge_ports: "", iface, method: "static", type: "bridge" }));
}

function storageFields(storage: ReturnType<typeof requireStorage>): Json {
  const { total, used, avail } = storageRoom(storage);
  return {
    ...{
      active: storage.disabled ? 0 : 1,
      enabled: storage.disabled ? 0 : 1,
      shared: storage.shared ? 1 : 0,
    },
    ...{ avail, total, used, used_fraction: total === 0 ? 0 : used / total },
    ...{ content: storage.content.join(), storage: storage.name, type: storage.type },
  };
}

function content(name: string): Json {
  return listVolumes(requireStorage(name)).map(({ vmid, ...volume }) => ({
    ...volume,
    ...(vmid !== "" && { vmid: Number(vmid) }),
  }));
}
