import { readFile, realpath, rename, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { NexcageError } from "../../shared/errors.ts";
import { expandPath } from "../inventory/local-path.ts";
import type { Host } from "../inventory/model.ts";
import { runWords } from "../run-words.ts";
import { parseAddress } from "./address.ts";
import { type Cluster, type ClusterNode, parseMembers } from "./cluster.ts";
import { type NamedHost, withHosts } from "./files.ts";
import { type MeetOptions, type Met, makeHost, meetHost } from "./meet.ts";

export type DiscoverOptions = Omit<MeetOptions, "identityFiles"> & {
  inventory: Host[];
  identity: string | undefined;
  /** Where relative paths start. */
  folder: string;
  home: string;
};

/** A cluster, and whom its nodes were asked as. */
export type Found = Cluster & { user: string | undefined; port: number | undefined };

/**
 * The nodes of a cluster, asked of one of them: a host of the inventory by its name, or any by its address.
 * @throws {NexcageError} `REFUSED` where it is no Proxmox VE, and what a connection throws
 */
export async function discoverCluster(name: string, options: DiscoverOptions): Promise<Found> {
  const { inventory, connect, signal } = options;
  const host = inventory.find((one) => one.name === name) ?? (await meetAsHost(name, options));
  await using transport = await connect(host, { signal });
  const { code, stdout, stderr } = await runWords(transport, ["cat", "/etc/pve/.members"], { signal });
  if (code !== 0)
    throw new NexcageError("REFUSED", `${name} shows no cluster: ${stderr.trim()}`, {
      hint: /denied/i.test(stderr)
        ? "root reads it: ssh: {user: root}, or become: sudo, in the inventory"
        : "is it a Proxmox VE node?",
    });
  const ssh = host.connection.kind === "ssh" ? host.connection : undefined;
  const cluster = parseMembers(stdout, { host: name, address: ssh?.address ?? "127.0.0.1" });
  return { ...cluster, user: ssh?.user, port: ssh?.port };
}

/** Whether the inventory has a node: by its name, or by its address. */
export function isKnown(node: ClusterNode, inventory: Host[]): boolean {
  return inventory.some(
    ({ name, connection }) =>
      name === node.name || (connection.kind === "ssh" && connection.address === node.address),
  );
}

/**
 * Meets the nodes that the inventory does not have and that are online, and adds them to its file, which is written
 * once all were met.
 * @returns what was added
 */
export async function addNodes(
  found: Found,
  { file, ...options }: DiscoverOptions & { file: string },
): Promise<NamedHost[]> {
  const path = resolve(options.folder, file);
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw new NexcageError("INVALID_FILE", `${file} cannot be read: ${cause.message}`, {
      hint: "nexcage init writes a first one",
      cause,
    });
  });
  withHosts(text, [], { file }); // before anybody is asked
  const added: NamedHost[] = [];
  for (const node of found.nodes) {
    if (node.address === undefined || !node.online || isKnown(node, options.inventory)) continue;
    const at = { user: found.user, address: node.address, port: found.port };
    const met: Met = await meetHost(at, { ...options, identityFiles: identityFiles(options) });
    added.push({ name: node.name, met });
  }
  if (added.length === 0) return added;
  const whole = await realpath(path); // a link stays one
  const { mode } = await stat(whole);
  await writeFile(`${whole}.new`, withHosts(text, added, { file }), { mode });
  await rename(`${whole}.new`, whole);
  return added;
}

async function meetAsHost(name: string, options: DiscoverOptions): Promise<Host> {
  const at = parseAddress(name);
  const files = identityFiles(options);
  const { hostKey } = await meetHost(at, { ...options, identityFiles: files });
  return makeHost(at, { identityFiles: files, hostKey });
}

function identityFiles({ identity, inventory, folder, home }: DiscoverOptions): string[] {
  if (identity !== undefined) return [expandPath(identity, { file: join(folder, "-"), home })];
  const [first] = inventory;
  return first?.connection.kind === "ssh" ? (first.connection.identityFiles ?? []) : [];
}
