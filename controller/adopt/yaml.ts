import { Document, isMap, parseAllDocuments } from "yaml";
import { NexcageError } from "../../shared/errors.ts";
import type { Mount, Network } from "../../shared/spec.ts";
import type { Entry } from "./entries.ts";

const layout = { lineWidth: 0, flowCollectionPadding: false } as const;

/** `containers:` with these alone, for people to take over. Pure. */
export function containersText(entries: readonly Entry[], host: string): string {
  const document = new Document({ containers: {} });
  add(document, entries, host);
  return document.toString(layout);
}

/**
 * A fleet's file with these containers at the end of those that it has; comments stay. Pure.
 * @throws {NexcageError} `USAGE` where there is no fleet in it
 */
export function withContainers(
  text: string,
  entries: readonly Entry[],
  { file, host }: { file: string; host: string },
): string {
  const parsed = parseAllDocuments(text);
  const documents = Array.isArray(parsed) ? parsed : [];
  const fleet = documents.find((document) => isMap(document.contents) && document.get("kind") === "Fleet");
  if (fleet === undefined)
    throw new NexcageError("USAGE", `--write ${file}: there is no fleet in it`, {
      hint: "name the file with kind: Fleet",
    });
  if (!isMap(fleet.get("containers"))) fleet.set("containers", fleet.createNode({}));
  add(fleet, entries, host);
  return documents.map((document) => document.toString(layout)).join("");
}

function add(document: Document, entries: readonly Entry[], host: string): void {
  const containers = document.get("containers");
  if (isMap(containers)) containers.flow = false;
  for (const entry of entries) {
    const key = document.createNode(entry.name);
    key.commentBefore = commentOf(entry);
    document.addIn(["containers"], document.createPair(key, wordsOf(entry, host)));
  }
}

function commentOf({ vmid, unsaid }: Entry): string {
  const rest = unsaid.map((line) => `\n   ${line}`).join("");
  const lost =
    unsaid.length === 0 ? "" : `; what follows stays as it is, and a new one would not have it:${rest}`;
  return ` adopted: guest ${vmid}; what it was made from is not known, so that template is a guess${lost}`;
}

/** A container in the words of the YAML. Pure. */
export function wordsOf({ spec, template, vmid }: Entry, host: string): object {
  const { resources, networks, proxmox, mounts } = spec;
  const words = {
    ...{ runtime: spec.runtime, template, host },
    ...{ command: spec.command, environment: spec.environment, user: spec.user },
    ...{ working_dir: spec.workingDir, hostname: spec.hostname, volumes: mounts?.map(volumeWords) },
    networks: networks?.map(networkWords),
    devices: spec.devices?.map(({ denyWrite, ...device }) => ({ ...device, deny_write: denyWrite })),
    resources: resources && {
      cpus: resources.cpus,
      memory: sizeWord(resources.memoryBytes),
      swap: sizeWord(resources.swapBytes),
      pids: resources.pids,
    },
    ...{ read_only: spec.readOnly, cap_drop: spec.capDrop, stop_signal: spec.stopSignal },
    proxmox: {
      ...{ vmid, storage: proxmox?.storage, rootfs_size: sizeWord(proxmox?.rootfsBytes) },
      ...{ unprivileged: proxmox?.unprivileged, features: proxmox?.features, onboot: proxmox?.onboot },
      ...{ startup: proxmox?.startup, tags: proxmox?.tags, protection: proxmox?.protection },
      ha: proxmox?.ha && {
        state: proxmox.ha.state,
        max_restart: proxmox.ha.maxRestart,
        max_relocate: proxmox.ha.maxRelocate,
      },
      ...{ cores: proxmox?.cores, cpuunits: proxmox?.cpuunits, timezone: proxmox?.timezone },
      ...{ nameserver: proxmox?.nameserver, searchdomain: proxmox?.searchdomain, idmap: proxmox?.idmap },
    },
  };
  // What is undefined goes with JSON, and ${…} would be filled in when the file is read.
  return JSON.parse(JSON.stringify(words), (_key, value) =>
    typeof value === "string" ? value.replaceAll("${", () => "$${") : value,
  );
}

function volumeWords(mount: Mount): object {
  const { type, target } = mount;
  if (mount.type === "bind") return { type, source: mount.source, target, read_only: mount.readOnly };
  if (mount.type === "volume") {
    const { name: source, storage, backup, readOnly } = mount;
    return { type, source, target, storage, size: sizeWord(mount.sizeBytes), backup, read_only: readOnly };
  }
  return {
    ...{ type, target },
    tmpfs: { size: sizeWord(mount.sizeBytes), mode: mount.mode?.toString(8).padStart(4, "0") },
  };
}

function networkWords({ name, bridge, ip, gateway, ip6, gateway6, vlan, mtu, firewall }: Network): object {
  return { name, bridge, ip, gateway, ip6, gateway6, vlan, mtu, firewall };
}

/** `512m`, `8g`; "0" is none. */
function sizeWord(bytes: number | undefined): string | undefined {
  if (bytes === undefined || bytes === 0) return bytes === 0 ? "0" : undefined;
  const units = [
    ["t", 1024 ** 4],
    ["g", 1024 ** 3],
    ["m", 1024 ** 2],
    ["k", 1024],
  ] as const;
  const [letter, unit] = units.find(([, size]) => bytes % size === 0) ?? ["", 1];
  return `${bytes / unit}${letter}`;
}
