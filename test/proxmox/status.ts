// What `status --verbose` and pvesh tell of one guest.
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { readConf } from "./cluster.ts";
import { normalizeTags } from "./conf.ts";
import { initPid, isRunning } from "./lxc.ts";
import { parseSize } from "./storage.ts";
import { mountPoints } from "./volumes.ts";

export type Fields = Record<string, string | number>;

const mebibyte = 2 ** 20;

/** The fields, sorted by name. */
export async function guestStatus(vmid: string): Promise<Fields> {
  const { values } = readConf(vmid);
  const pid = isRunning(vmid) ? await initPid(vmid) : undefined;
  const cores = Number(values.get("cores") ?? availableParallelism());
  const limit = Number(values.get("cpulimit") ?? 0);
  const lock = values.get("lock");
  const tags = values.get("tags");
  const fields: Fields = {
    cpus: limit > 0 ? Math.min(limit, cores) : cores,
    disk: 0,
    diskread: 0,
    diskwrite: 0,
    maxdisk: rootSize(vmid),
    maxmem: Number(values.get("memory") ?? 512) * mebibyte,
    maxswap: Number(values.get("swap") ?? 512) * mebibyte,
    mem: 0,
    name: values.get("hostname") ?? `CT${vmid}`,
    netin: 0,
    netout: 0,
    status: isRunning(vmid) ? "running" : "stopped",
    swap: 0,
    type: "lxc",
    uptime: 0,
    vmid: Number(vmid),
    ...(lock !== undefined && { lock }),
    ...(tags !== undefined && { tags: normalizeTags(tags) }),
    ...(pid !== undefined && liveFields(vmid, pid)),
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function rootSize(vmid: string): number {
  const root = mountPoints(readConf(vmid)).find(({ key }) => key === "rootfs");
  return parseSize(root?.properties.size ?? "0");
}

function liveFields(vmid: string, pid: string): Fields {
  const usage = [
    `/sys/fs/cgroup/memory/lxc/${vmid}/memory.usage_in_bytes`,
    `/sys/fs/cgroup/lxc/${vmid}/memory.current`,
  ];
  const file = usage.find(existsSync);
  return {
    pid: Number(pid),
    mem: file === undefined ? 0 : Number(readFileSync(file, "utf8")),
    uptime: uptimeOf(pid),
    ...diskOf(pid),
  };
}

function diskOf(pid: string): Fields {
  try {
    const { blocks, bfree, bsize } = statfsSync(`/proc/${pid}/root/`);
    return { disk: (blocks - bfree) * bsize, maxdisk: blocks * bsize };
  } catch {
    return {}; // it has just ended
  }
}

function uptimeOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    const now = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
    return Math.trunc(now - ticks / 100);
  } catch {
    return 0;
  }
}
