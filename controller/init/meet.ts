import { NexcageError } from "../../shared/errors.ts";
import type { Connect } from "../fleet.ts";
import { builtIn } from "../inventory/inventory-schema.ts";
import type { Host } from "../inventory/model.ts";
import { runWords } from "../run-words.ts";
import type { Address } from "./address.ts";

/** What a host says of itself when it is met first. */
export type HostLook = {
  /** Its own name, without a domain. */
  hostname: string;
  proxmox: boolean;
  bridges: string[];
  /** Templates in its storage `local`. */
  templates: string[];
};

/** A host that was reached, and whose key somebody has said yes to. */
export type Met = {
  at: Address;
  user: string;
  /** To be written down; none where known_hosts has the key. */
  hostKey: string | undefined;
  look: HostLook;
};

export type MeetOptions = {
  connect: Connect;
  /** Where the user's own configuration should not say it. */
  identityFiles: string[];
  /** Whether this fingerprint is that of the host. @throws where there is nobody to ask */
  confirmKey: (fingerprint: string, error: NexcageError) => Promise<boolean>;
  signal: AbortSignal;
};

/** Prints what whoever logs in may know; the files are named with their folders. */
const lookScript = [
  'echo "hostname $(uname -n)"; echo "user $(id -un)"',
  "ls -d /usr/sbin/pct /usr/bin/pct /sys/class/net/*/bridge /var/lib/vz/template/cache/*.tar.* 2>/dev/null",
].join("; ");

/**
 * Connects to a host for the first time: has its key confirmed where it is not known, logs in, and looks around.
 * @throws {NexcageError} `HOST_KEY_UNKNOWN` where the answer is no, and what a connection throws
 */
export async function meetHost(at: Address, options: MeetOptions): Promise<Met> {
  const { connect, identityFiles, confirmKey, signal } = options;
  let hostKey: string | undefined;
  for (;;) {
    try {
      await using transport = await connect(makeHost(at, { identityFiles, hostKey }), { signal });
      const { stdout } = await runWords(transport, ["sh", "-c", lookScript], { signal });
      const { user, ...look } = parseLook(stdout, at.address);
      return { at, user, hostKey, look };
    } catch (error) {
      const unknown = error instanceof NexcageError && error.code === "HOST_KEY_UNKNOWN" ? error : undefined;
      const fingerprint = unknown?.details?.fingerprint;
      if (unknown === undefined || typeof fingerprint !== "string" || hostKey !== undefined) throw error;
      if (!(await confirmKey(fingerprint, unknown))) throw unknown;
      hostKey = fingerprint;
    }
  }
}

/** Reads what the look prints. Pure. */
export function parseLook(text: string, address: string): HostLook & { user: string } {
  const lines = text.split("\n");
  const of = (pattern: RegExp): string[] => lines.flatMap((line) => pattern.exec(line)?.[1] ?? []).sort();
  const [hostname = address] = of(/^hostname ([^.]+)/);
  const [user = "root"] = of(/^user (.+)/);
  return {
    hostname,
    user,
    proxmox: of(/^(\/usr\/s?bin\/pct)$/).length > 0,
    bridges: of(/^\/sys\/class\/net\/(.+)\/bridge$/),
    templates: of(/^\/var\/lib\/vz\/template\/cache\/(.+)$/),
  };
}

/** A host as an inventory would have it that says no more than where it is. */
export function makeHost(
  { user, address, port }: Address,
  { identityFiles, hostKey }: { identityFiles: string[]; hostKey: string | undefined },
): Host {
  return {
    name: address,
    connection: {
      kind: "ssh",
      address,
      ...(port !== undefined && { port }),
      ...(user !== undefined && { user }),
      ...(identityFiles.length > 0 && { identityFiles }),
      ...(hostKey !== undefined && { hostKey }),
      hostKeyChecking: "strict",
      connectTimeoutMs: builtIn["ssh.connect_timeout"],
    },
    become: "none",
    agentPath: builtIn["agent.path"],
    hostParallel: builtIn["concurrency.host_parallel"],
    storageParallel: builtIn["concurrency.storage_parallel"],
    commandTimeoutMs: builtIn.command_timeout,
    groups: [],
    labels: {},
    vars: {},
    place: { file: "", line: 1, column: 1 },
  };
}
