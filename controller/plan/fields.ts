import type { FieldChange, SpecField } from "../../shared/costs.ts";

/** A field of a spec by its word in the YAML. */
export function wordOf({ field, old, new: now }: FieldChange): string {
  if (field !== "source") return yamlWords[field];
  const kinds = [old, now].map(kindOf);
  return kinds[0] === kinds[1] ? (kinds[0] ?? "") : kinds.join(" → ");
}

const yamlWords: Record<Exclude<SpecField, "source">, string> = {
  runtime: "runtime",
  command: "command",
  environment: "environment",
  user: "user",
  workingDir: "working_dir",
  hostname: "hostname",
  mounts: "volumes",
  readOnly: "read_only",
  capAdd: "cap_add",
  capDrop: "cap_drop",
  "resources.cpus": "resources.cpus",
  "resources.memoryBytes": "resources.memory",
  "resources.swapBytes": "resources.swap",
  "resources.pids": "resources.pids",
  labels: "labels",
  stopSignal: "stop_signal",
  stopGracePeriodMs: "stop_grace_period",
  networks: "networks",
  devices: "devices",
  "proxmox.vmid": "proxmox.vmid",
  "proxmox.vmidRange": "proxmox.vmid_range",
  "proxmox.storage": "proxmox.storage",
  "proxmox.rootfsBytes": "proxmox.rootfs_size",
  "proxmox.unprivileged": "proxmox.unprivileged",
  "proxmox.features": "proxmox.features",
  "proxmox.onboot": "proxmox.onboot",
  "proxmox.startup": "proxmox.startup",
  "proxmox.tags": "proxmox.tags",
  "proxmox.protection": "proxmox.protection",
  "proxmox.ha": "proxmox.ha",
  "proxmox.cores": "proxmox.cores",
  "proxmox.cpuunits": "proxmox.cpuunits",
  "proxmox.pool": "proxmox.pool",
  "proxmox.nameserver": "proxmox.nameserver",
  "proxmox.searchdomain": "proxmox.searchdomain",
  "proxmox.timezone": "proxmox.timezone",
  "proxmox.sshPublicKeys": "proxmox.ssh_public_keys",
  "proxmox.idmap": "proxmox.idmap",
  "proxmox.templateDownload": "proxmox.template_download",
};

/** The word under which the YAML says where the files come from. */
function kindOf(source: unknown): string {
  const kind = typeof source === "object" && source !== null && "kind" in source ? source.kind : undefined;
  return kind === "bundle" || kind === "template" ? kind : "rootfs";
}
