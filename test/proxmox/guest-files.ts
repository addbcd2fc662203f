// What pct writes inside a container at each start (the recorded facts, "Bridges and network").
import { chownSync, existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Conf } from "./conf.ts";
import { words } from "./formats.ts";
import { interfaces } from "./networks.ts";
import { rootfsDir } from "./paths.ts";
import type { Properties } from "./properties.ts";
import { rootId } from "./volumes.ts";

const begin = "# --- BEGIN PVE ---\n";
const end = "# --- END PVE ---\n";

/** Hostname, hosts, resolv.conf, interfaces; nothing of it for `unmanaged`, no network for nixos. */
export function writeGuestFiles(vmid: string, conf: Conf): void {
  const type = conf.values.get("ostype");
  if (type === "unmanaged" || type === undefined) return;
  const name = conf.values.get("hostname") ?? `CT${vmid}`;
  const write = (path: string, change: (before: string | undefined) => string) =>
    writeInside(rootfsDir(vmid), path, { owner: rootId(conf), change });
  write("etc/hostname", () => `${name.split(".")[0]}\n`);
  write("etc/hosts", (before = "") => hosts(before, { name, address: firstAddress(conf) }));
  write("etc/resolv.conf", (before = "") => resolvers(before, conf));
  if (["debian", "devuan", "alpine"].includes(type))
    write("etc/network/interfaces", () => interfacesFile(conf, { isAlpine: type === "alpine" }));
  write("fastboot", () => "");
}

function writeInside(
  root: string,
  path: string,
  { owner, change }: { owner: number; change: (before: string | undefined) => string },
): void {
  const file = `${root}/${path}`;
  const ignored = `${dirname(file)}/.pve-ignore.${path.split("/").at(-1)}`;
  if (existsSync(ignored) || lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  mkdirSync(dirname(file), { recursive: true });
  const before = existsSync(file) ? readFileSync(file, "utf8") : undefined;
  const after = change(before);
  if (before === after) return;
  writeFileSync(file, after);
  if (before === undefined) chownSync(file, owner, owner);
}

function firstAddress(conf: Conf): string {
  const configured = interfaces(conf).map(({ properties }) => properties.ip ?? "");
  return configured.find((ip) => ip.includes("/"))?.split("/")[0] ?? "127.0.1.1";
}

function hosts(before: string, { name, address }: { name: string; address: string }): string {
  const outside = withoutBlock(before);
  const localhost = /^127\.0\.0\.1\s/m.test(outside) ? "" : "127.0.0.1 localhost.localnet localhost\n";
  const localhost6 = /^::1\s/m.test(outside) ? "" : "::1 localhost.localnet localhost\n";
  const names = name.includes(".") ? `${name} ${name.split(".")[0]}` : name;
  return `${outside}${begin}${localhost}${localhost6}${address} ${names}\n${end}`;
}

function resolvers(before: string, { values }: Conf): string {
  const search = values.get("searchdomain");
  const servers = values.get("nameserver");
  const own = [
    ...(search === undefined ? [] : [`search ${words(search).join(" ")}`]),
    ...words(servers ?? "").map((server) => `nameserver ${server}`),
  ];
  const hosts = existsSync("/etc/resolv.conf") ? readFileSync("/etc/resolv.conf", "utf8") : "";
  const fromHost = hosts.split("\n").filter((line) => /^(search|nameserver)\s/.test(line));
  const lines = own.length > 0 ? own : fromHost;
  const block = `${begin}${lines.map((line) => `${line}\n`).join("")}${end}`;
  return before.includes(begin) ? `${withoutBlock(before)}${block}` : block;
}

function withoutBlock(text: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  return from < 0 || to < 0 ? text : text.slice(0, from) + text.slice(to + end.length);
}

function interfacesFile(conf: Conf, { isAlpine }: { isAlpine: boolean }): string {
  const parts = interfaces(conf).map(({ properties }) => interfaceStanza(properties, isAlpine));
  return ["auto lo\niface lo inet loopback\n", ...parts].join("\n");
}

function interfaceStanza({ name = "eth0", ip, gw, ip6, gw6 }: Properties, isAlpine: boolean): string {
  return [`auto ${name}`, ...family("inet", name, ip, gw), ...family6(name, ip6, gw6, isAlpine)]
    .map((line) => `${line}\n`)
    .join("");
}

function family(
  kind: "inet" | "inet6",
  name: string,
  ip: string | undefined,
  gw: string | undefined,
): string[] {
  if (ip === undefined || ip === "manual") return [`iface ${name} ${kind} manual`];
  if (!ip.includes("/")) return [`iface ${name} ${kind} ${ip}`];
  return [
    `iface ${name} ${kind} static`,
    `\taddress ${ip}`,
    ...(gw === undefined ? [] : [`\tgateway ${gw}`]),
  ];
}

function family6(
  name: string,
  ip6: string | undefined,
  gw6: string | undefined,
  isAlpine: boolean,
): string[] {
  if (ip6 === undefined) return [];
  return family("inet6", name, isAlpine && ip6 === "dhcp" ? "manual" : ip6, gw6);
}
