import { execa } from "execa";
import { readText } from "../../state/files.ts";
import type { Check } from "../backend.ts";
import { bridges, hasQuorum, nodeName } from "./guests.ts";
import { readStorages } from "./storages.ts";

/** The bridge of an interface that names none. */
const defaultBridge = "vmbr50";

/** What a Proxmox VE node has for containers, and what it lacks. Changes nothing. */
export async function examineNode(): Promise<Check[]> {
  return [
    await checkProgram("Proxmox VE", ["pveversion"], /^pve-manager\/([\w.~-]+)/),
    await checkProgram("LXC", ["lxc-attach", "--version"], /^([\w.~-]+)/),
    checkCluster(),
    checkMaintenance(readText("/etc/pve/ha/manager_status") ?? "", nodeName()),
    checkStorages("containers", "rootdir"),
    checkStorages("templates", "vztmpl"),
    checkBridges(),
  ].filter((check) => check !== undefined);
}

async function checkProgram(
  name: string,
  [program = "", ...words]: string[],
  version: RegExp,
): Promise<Check> {
  const { stdout } = await execa(program, words, { reject: false, timeout: 10_000, stdin: "ignore" });
  const found = version.exec(stdout ?? "")?.[1];
  if (found !== undefined) return { name, result: "ok", message: found };
  return { name, result: "warning", message: `${program} does not say its version` };
}

function checkCluster(): Check {
  const name = "cluster";
  if (hasQuorum()) return { name, result: "ok", message: `node ${nodeName()}, /etc/pve can be written` };
  return {
    name,
    result: "failed",
    message: `node ${nodeName()} has no quorum: nothing can be changed`,
    hint: "pvecm status tells which nodes are missing",
  };
}

/** Nothing is started on a node that its HA manager is emptying. Pure; undefined where it is not. */
export function checkMaintenance(managerStatus: string, node: string): Check | undefined {
  // `{"node_status":{"pve1":"maintenance",…},…}`, written by the HA manager alone
  const isInMaintenance = new RegExp(`"${RegExp.escape(node)}"\\s*:\\s*"maintenance"`).test(managerStatus);
  if (!isInMaintenance) return undefined;
  return {
    name: "maintenance",
    result: "warning",
    message: `node ${node} is in maintenance: what HA manages is moved away, and does not start here`,
    hint: `when that is over: ha-manager crm-command node-maintenance disable ${node}`,
  };
}

function checkStorages(what: string, content: string): Check {
  const name = `storages for ${what}`;
  const found = readStorages(nodeName()).filter((storage) => storage.content.includes(content));
  if (found.length > 0) return { name, result: "ok", message: found.map((one) => one.name).join(", ") };
  return {
    name,
    result: "failed",
    message: `no storage of this node holds ${what}`,
    hint: `give one the content ${content}: pvesm set NAME --content …,${content}`,
  };
}

function checkBridges(): Check {
  const there = bridges();
  const message = there.join(", ") || "none";
  if (there.includes(defaultBridge)) return { name: "bridges", result: "ok", message };
  return {
    name: "bridges",
    result: "warning",
    message: `${message}; the default, ${defaultBridge}, is not there`,
    hint: "name the bridge of each network, or make it",
  };
}
