import { type Found, isKnown } from "../init/discover.ts";
import type { NamedHost } from "../init/files.ts";
import type { Host } from "../inventory/model.ts";
import { printable } from "./printable.ts";
import { textTable } from "./table.ts";

type ClusterOptions = { inventory: Host[]; added: NamedHost[] };

/** The nodes of a cluster, for people. */
export function clusterText(found: Found, { inventory, added }: ClusterOptions): string {
  const rows = found.nodes.map((node) => [
    printable(node.name),
    printable(node.address ?? "-"),
    node.online ? "yes" : "no",
    noteOf(node.name, isKnown(node, inventory), added),
  ]);
  const title = found.name === undefined ? "No cluster: one node.\n" : `Cluster ${printable(found.name)}\n`;
  return `${title}\n${textTable(["NODE", "ADDRESS", "ONLINE", "INVENTORY"], rows)}`;
}

function noteOf(name: string, known: boolean, added: NamedHost[]): string {
  if (known) return "has it";
  return added.some((one) => one.name === name) ? "added" : "lacks it (--write inventory.yaml)";
}

/** The same for programs. */
export function clusterJson(found: Found, { inventory, added }: ClusterOptions): unknown {
  return {
    cluster: found.name,
    nodes: found.nodes.map((node) => ({ ...node, inInventory: isKnown(node, inventory) })),
    added: added.map(({ name }) => name),
  };
}
