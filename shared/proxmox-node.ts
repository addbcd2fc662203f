import * as z from "zod";
import { type ContainerSpec, volumesOf } from "./spec.ts";
import { findTemplate, isVolume } from "./templates.ts";

/** What a Proxmox VE node has for containers, as it says when it is greeted. */
export const ProxmoxNode = z.object({
  name: z.string(),
  /** As Node calls it: `x64`. */
  architecture: z.string(),
  storages: z.array(
    z.object({
      name: z.string(),
      content: z.array(z.string()),
      /** Its templates are listed here: it is a folder. */
      isFolder: z.boolean(),
    }),
  ),
  /** By volume. */
  templates: z.array(z.string()),
  bridges: z.array(z.string()),
});
export type ProxmoxNode = z.infer<typeof ProxmoxNode>;

/** What a container wants and its node does not have. */
export type Lack = { kind: "template" | "storage" | "bridge"; message: string; hint: string };

/** The part of a container that is made: all of it, or the fields that change. */
export type Made = { files: boolean; mounts: boolean; networks: boolean };

/**
 * What a container wants and its node does not have; pct would find it out with the container half made,
 * and a bridge only at its start. Pure.
 */
export function lacksOf(spec: ContainerSpec, node: ProxmoxNode, made: Made): Lack[] {
  return [
    ...(made.files ? lackingTemplate(spec, node) : []),
    ...(made.networks ? lackingBridges(spec, node) : []),
    ...lackingStorages(spec, node, made),
  ];
}

/** The volume of the template that a container is made from; undefined where it has none, or it is not there. Pure. */
export function templateOf({ source }: ContainerSpec, node: ProxmoxNode): string | undefined {
  if (source.kind !== "template") return undefined;
  const { templates, architecture } = node;
  const found = findTemplate(source.volume, templates, { architecture });
  // Only Proxmox itself can look into what is no folder.
  return found ?? (isElsewhere(source.volume, node) ? source.volume : undefined);
}

/**
 * What `pveam` is to download for a container, and to which storage; undefined where it is there already, or the
 * spec does not allow it. Pure.
 */
export function downloadOf(
  spec: ContainerSpec,
  node: ProxmoxNode,
): { template: string; storage: string } | undefined {
  const { source, proxmox } = spec;
  if (source.kind !== "template" || proxmox?.templateDownload !== true) return undefined;
  if (templateOf(spec, node) !== undefined) return undefined;
  const [wanted, file] = isVolume(source.volume) ? source.volume.split(":vztmpl/") : [];
  const storage = node.storages.find(
    ({ name, content, isFolder }) => isFolder && content.includes("vztmpl") && name === (wanted ?? name),
  );
  return storage && { template: file ?? source.volume, storage: storage.name };
}

function isElsewhere(template: string, { storages }: ProxmoxNode): boolean {
  const [storage = ""] = template.split(":");
  return isVolume(template) && storages.some(({ name, isFolder }) => name === storage && !isFolder);
}

function lackingTemplate(spec: ContainerSpec, node: ProxmoxNode): Lack[] {
  const { source } = spec;
  if (source.kind !== "template" || templateOf(spec, node) !== undefined) return [];
  if (downloadOf(spec, node) !== undefined) return [];
  const file = isVolume(source.volume) ? (source.volume.split("/").at(-1) ?? "") : "FILE";
  const storage = isVolume(source.volume) ? source.volume.split(":")[0] : "local";
  return [
    {
      kind: "template",
      message: `template: this node has no ${source.volume}`,
      hint:
        spec.proxmox?.templateDownload === true
          ? `and no storage${isVolume(source.volume) ? ` ${storage}` : ""} that keeps templates in a folder, to download it to`
          : `there are ${listed(node.templates)}; to get one: proxmox: {template_download: true}, or on the host pveam download ${storage} ${file}`,
    },
  ];
}

function lackingBridges({ networks = [] }: ContainerSpec, { bridges }: ProxmoxNode): Lack[] {
  return networks
    .filter(({ bridge }) => !bridges.includes(bridge))
    .map(({ name, bridge }) => ({
      kind: "bridge",
      message: `networks: this host has no bridge ${bridge} for ${name}`,
      hint: `its bridges: ${listed(bridges)}`,
    }));
}

function lackingStorages(spec: ContainerSpec, node: ProxmoxNode, { files, mounts }: Made): Lack[] {
  const usable = containerStorages(node);
  const hint = `those that do: ${listed(usable)}`;
  const that = "of this node that holds containers";
  const wanted: [word: string, storage: string | undefined][] = [
    ...volumesOf(mounts ? spec : {}).map(({ name, storage }): [string, string | undefined] => [
      `volumes.${name}`,
      storage,
    ]),
    ...(files ? [["proxmox.storage", spec.proxmox?.storage] satisfies [string, string | undefined]] : []),
  ];
  const lacks = wanted.flatMap(([word, storage]): Lack[] =>
    storage === undefined || usable.includes(storage)
      ? []
      : [{ kind: "storage", message: `${word}: ${storage} is no storage ${that}`, hint }],
  );
  if (!files || usable.length > 0 || lacks.length > 0) return lacks;
  return [{ kind: "storage", message: `proxmox.storage: no storage ${that}`, hint }];
}

/** The storages that hold containers; the first is the one of those that name none. Pure. */
export function containerStorages({ storages }: ProxmoxNode): string[] {
  return storages.filter(({ content }) => content.includes("rootdir")).map(({ name }) => name);
}

function listed(names: readonly string[]): string {
  return names.join(", ") || "none";
}
