// Where a Proxmox host keeps its things. One stand-in process serves one host: the names are constant in it.
import { hostname } from "node:os";

export const node = hostname();
export const pve = "/etc/pve";
export const nodeDir = `${pve}/nodes/${node}`;
export const tasksDir = "/var/log/pve/tasks";
/** What the stand-in keeps beside that: nothing of it exists on a real host. */
export const privateDir = "/run/nexcage-test-proxmox";
export const knobsFile = "/etc/nexcage-test-proxmox.json";
/** The stand-in of pmxcfs' database: which version each guest's file has. */
export const databaseFile = "/var/lib/pve-cluster/config.json";

export function confFile(vmid: string): string {
  return `${nodeDir}/lxc/${vmid}.conf`;
}

/** As it stands in messages: without /etc/pve. */
export function confName(vmid: string): string {
  return `nodes/${node}/lxc/${vmid}.conf`;
}

export function lxcDir(vmid: string): string {
  return `/var/lib/lxc/${vmid}`;
}

export function rootfsDir(vmid: string): string {
  return `${lxcDir(vmid)}/rootfs`;
}
