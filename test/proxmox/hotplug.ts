// What set changes in a running container: limits in its cgroup, interfaces, mounts.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Conf } from "./conf.ts";
import { Failure } from "./failure.ts";
import { readKnobs } from "./knobs.ts";
import { initPid } from "./lxc.ts";
import { firewallDevices, parseNet, plugScript, requireBridge } from "./networks.ts";
import type { Properties } from "./properties.ts";
import { run, runAnyway } from "./run.ts";
import { volumePath } from "./storage.ts";
import { mountPoints } from "./volumes.ts";

const mebibyte = 2 ** 20;

/** Brings the new value of one key into the container. @throws {Failure} */
export async function hotplug(vmid: string, conf: Conf, key: string): Promise<void> {
  const value = conf.values.get(key) ?? "";
  if (key === "memory" || key === "swap") setMemory(vmid, conf);
  else if (key === "cpulimit") setQuota(vmid, Number(value));
  else if (key === "cpuunits") setShares(vmid, Number(value));
  else if (key.startsWith("net")) await plugInterface(vmid, key.slice(3), parseNet(key, value));
  else await plugMount(vmid, conf, key);
}

export async function hotunplug(vmid: string, key: string): Promise<void> {
  if (key === "cpulimit") setQuota(vmid, 0);
  else if (key === "cpuunits") setShares(vmid, 1024);
  else if (/^net\d$/.test(key)) {
    process.stdout.write(`delete ips from ${key}\n`);
    await unplugInterface(vmid, key.slice(3));
  }
}

function setMemory(vmid: string, { values }: Conf): void {
  const bytes = Number(values.get("memory") ?? 512) * mebibyte;
  const swap = Number(values.get("swap") ?? 512) * mebibyte;
  const both = () => writeLimit(vmid, "memory", "memory.memsw.limit_in_bytes", undefined, bytes + swap);
  const memory = () => writeLimit(vmid, "memory", "memory.limit_in_bytes", "memory.max", bytes);
  // cgroup v1 refuses a memory limit above that of memory and swap together.
  const limit = `/sys/fs/cgroup/memory/lxc/${vmid}/memory.memsw.limit_in_bytes`;
  const now = existsSync(limit) ? Number(readFileSync(limit, "utf8")) : 0;
  for (const write of bytes + swap > now ? [both, memory] : [memory, both]) write();
  writeLimit(vmid, "memory", undefined, "memory.swap.max", swap);
}

function setQuota(vmid: string, cpus: number): void {
  const quota = Math.round(cpus * 100_000);
  writeLimit(vmid, "cpu", "cpu.cfs_quota_us", undefined, quota > 0 ? quota : -1);
  writeLimit(vmid, "cpu", undefined, "cpu.max", quota > 0 ? `${quota} 100000` : "max");
}

function setShares(vmid: string, units: number): void {
  writeLimit(vmid, "cpu", "cpu.shares", "cpu.weight", units);
}

/** Limits sit on `lxc/VMID`, the processes in `ns` below. */
function writeLimit(
  vmid: string,
  controller: string,
  v1: string | undefined,
  v2: string | undefined,
  value: string | number,
): void {
  const files = [
    ...(v1 === undefined ? [] : [`/sys/fs/cgroup/${controller}/lxc/${vmid}/${v1}`]),
    ...(v2 === undefined ? [] : [`/sys/fs/cgroup/lxc/${vmid}/${v2}`]),
  ];
  for (const file of files) if (existsSync(file)) writeFileSync(file, String(value));
}

async function requireInit(vmid: string): Promise<string> {
  const pid = await initPid(vmid);
  if (pid === undefined) throw new Failure(`unable to get PID for CT ${vmid} (not running?)`);
  return pid;
}

/** A changed interface is made anew: with its own MAC, in the bridge and VLAN that it names. */
async function plugInterface(vmid: string, number: string, properties: Properties): Promise<void> {
  requireBridge({ number, properties });
  const pid = await requireInit(vmid);
  await unplugInterface(vmid, number);
  const { name = "eth0", hwaddr = "", mtu, ip, gw, ip6, gw6 } = properties;
  const device = `veth${vmid}i${number}`;
  const peer = ["peer", "name", name, "address", hwaddr, "netns", pid];
  await run(
    "ip",
    ["link", "add", device, ...(mtu === undefined ? [] : ["mtu", mtu]), "type", "veth", ...peer],
    { deaf: true },
  );
  await run("sh", ["-c", plugScript(vmid, { number, properties }), "sh", "", "", "", "", device], {
    deaf: true,
  });
  const inside = async (...args: string[]) => {
    await run("nsenter", [`--target=${pid}`, "--net", "ip", ...args], { deaf: true });
  };
  await inside("link", "set", name, "up");
  if (ip?.includes("/")) await inside("address", "add", ip, "dev", name);
  if (gw !== undefined) await inside("route", "replace", "default", "via", gw);
  if (ip6?.includes("/")) await inside("address", "add", ip6, "dev", name);
  if (gw6 !== undefined) await inside("-6", "route", "replace", "default", "via", gw6);
}

async function unplugInterface(vmid: string, number: string): Promise<void> {
  const [fwbr, , fwpr] = firewallDevices(vmid, number);
  for (const device of [`veth${vmid}i${number}`, fwbr, fwpr])
    if (existsSync(`/sys/class/net/${device}`))
      await runAnyway("ip", ["link", "delete", device], { output: "capture", deaf: true });
}

/** A mount made here and moved into the container's namespace: its own root could not mount an image. */
async function plugMount(vmid: string, conf: Conf, key: string): Promise<void> {
  if (readKnobs().apparmor === false)
    throw new Failure("open3: exec of apparmor_parser failed: No such file or directory");
  const point = mountPoints(conf).find((candidate) => candidate.key === key);
  const device =
    conf.values
      .get(key)
      ?.split(",")[0]
      ?.replace(/^path=/, "") ?? "";
  const volume = point?.volume ?? device;
  const isImage = volume.endsWith(".raw");
  const source = volume.startsWith("/") ? volume : volumePath(volume);
  const script = `${import.meta.dirname}/mount-inside.py`;
  const readOnly = point?.properties.ro === "1" ? "ro" : "rw";
  await run(
    "python3",
    [script, await requireInit(vmid), isImage ? "image" : "bind", source, point?.path ?? device, readOnly],
    { deaf: true },
  );
}
