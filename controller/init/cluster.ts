import * as z from "zod";
import { NexcageError } from "../../shared/errors.ts";

/** `/etc/pve/.members`, as pmxcfs shows it; a node that is in no cluster has no list. */
const Members = z.object({
  nodename: z.string(),
  cluster: z.object({ name: z.string() }).optional(),
  nodelist: z.record(z.string(), z.object({ online: z.number(), ip: z.string().optional() })).optional(),
});

export type ClusterNode = { name: string; address: string | undefined; online: boolean };

/** The nodes of a cluster, sorted by name. */
export type Cluster = { name: string | undefined; nodes: ClusterNode[] };

/**
 * Pure.
 * @param address where the host was reached: that of a node which is in no cluster
 * @throws {NexcageError} `PROTOCOL_ERROR` where it is not what pmxcfs writes
 */
export function parseMembers(text: string, { host, address }: { host: string; address: string }): Cluster {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const parsed = Members.safeParse(json);
  if (!parsed.success)
    throw new NexcageError("PROTOCOL_ERROR", `/etc/pve/.members on ${host} cannot be read: ${text.trim()}`);
  const { nodename, cluster, nodelist } = parsed.data;
  const nodes = Object.entries(nodelist ?? { [nodename]: { online: 1, ip: address } })
    .map(([name, { ip, online }]) => ({ name, address: ip, online: online === 1 }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return { name: cluster?.name, nodes };
}
