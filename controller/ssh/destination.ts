import { join } from "node:path";
import { NexcageError } from "../../shared/errors.ts";
import type { Host, Ssh } from "../inventory/model.ts";
import { type SshConfig, type SshSettings, settingsFor } from "./ssh-config.ts";

/** One sshd, with everything that decides how it is reached: nothing is looked up after this. */
export type Destination = {
  /** Its name in messages: the host's, or for a jump host the way it was written. */
  name: string;
  address: string;
  port: number;
  user: string;
  /** In the order in which they are tried. */
  identityFiles: string[];
  /** Whether someone wrote them down: then they are used before what the agent holds besides. */
  identitiesConfigured: boolean;
  identitiesOnly: boolean;
  /** The ssh-agent's socket; none where there is no agent, or it is not to be used. */
  agentSocket: string | undefined;
  passphraseCommand: string[] | undefined;
  /** The first is where a new key is written. */
  knownHostsFiles: [string, ...string[]];
  hostKeyAlias: string | undefined;
  hostKeyPin: string | undefined;
  hostKeyChecking: Ssh["hostKeyChecking"];
  connectTimeoutMs: number;
};

export type Surroundings = {
  config: SshConfig;
  /** The inventory: a jump host that is in it is reached as it says there. */
  hosts: Host[];
  home: string;
  localUser: string;
  /** `SSH_AUTH_SOCK`. */
  agentSocket: string | undefined;
};

/**
 * The way to a host: the jump hosts in order, then the host itself. Pure. The inventory wins over ssh_config,
 * which wins over what ssh does by itself. A jump host that the inventory does not have is reached with the
 * keys, known_hosts and checking of the host behind it; its user and port are its own.
 * @throws {NexcageError} `INVALID_FILE`
 */
export function resolveRoute(host: Host, ssh: Ssh, around: Surroundings): [...Destination[], Destination] {
  const settings = settingsFor(ssh.address, around.config);
  const target = destination(host.name, ssh, { settings, around });
  return [...resolveJumps(ssh.proxyJump ?? settings.proxyJump, { ssh, around, seen: [host.name] }), target];
}

function resolveJumps(
  proxyJump: string | undefined,
  { ssh, around, seen }: { ssh: Ssh; around: Surroundings; seen: string[] },
): Destination[] {
  if (proxyJump === undefined || proxyJump.toLowerCase() === "none") return [];
  return proxyJump.split(",").flatMap((text, index) => {
    const hop = parseHop(text.trim());
    if (seen.includes(hop.address))
      throw new NexcageError("INVALID_FILE", `the way to ${seen[0]} leads through ${hop.address} twice`, {
        hint: "look at proxy_jump: of both in the inventory, and at ProxyJump in ~/.ssh/config",
      });
    const listed = around.hosts.find(({ name }) => name === hop.address)?.connection;
    const own = listed?.kind === "ssh" ? listed : undefined;
    const hopSsh: Ssh = {
      ...(own ?? inherited(ssh, hop.address)),
      ...hop,
      address: own?.address ?? hop.address,
    };
    const settings = settingsFor(hopSsh.address, around.config);
    const jump = destination(hop.address, hopSsh, { settings, around, fallbackUser: ssh.user });
    // As ssh does, the jump host's own jump hosts count for the first of several only.
    const before =
      index > 0
        ? []
        : resolveJumps(own?.proxyJump ?? settings.proxyJump, {
            ssh: hopSsh,
            around,
            seen: [...seen, hop.address],
          });
    return [...before, jump];
  });
}

/** `[user@]host[:port]` or `ssh://…`; an IPv6 address with a port stands in brackets. */
function parseHop(text: string): { address: string; user?: string; port?: number } {
  const match =
    /^(?:ssh:\/\/)?(?:([^@\s]+)@)?(?:\[([^\]\s]+)\]|([^:[\]\s]+)|([0-9a-fA-F:]+:[0-9a-fA-F:]+))(?::(\d{1,5}))?\/?$/.exec(
      text,
    );
  const address = match?.[2] ?? match?.[3] ?? match?.[4];
  const port = match?.[5] === undefined ? undefined : Number(match[5]);
  if (address === undefined || (port !== undefined && (port < 1 || port > 65_535)))
    throw new NexcageError("INVALID_FILE", `"${text}" is not a jump host`, {
      hint: "write [user@]host[:port], several by comma",
    });
  const user = match?.[1];
  return { address, ...(user !== undefined && { user }), ...(port !== undefined && { port }) };
}

function inherited(ssh: Ssh, address: string): Ssh {
  const { hostKeyChecking, connectTimeoutMs, identityFiles, identitiesOnly, knownHosts, passphraseCommand } =
    ssh;
  return {
    address,
    hostKeyChecking,
    connectTimeoutMs,
    ...(identityFiles !== undefined && { identityFiles }),
    ...(identitiesOnly !== undefined && { identitiesOnly }),
    ...(knownHosts !== undefined && { knownHosts }),
    ...(passphraseCommand !== undefined && { passphraseCommand }),
  };
}

function destination(
  name: string,
  ssh: Ssh,
  options: { settings: SshSettings; around: Surroundings; fallbackUser?: string | undefined },
): Destination {
  const { settings, around, fallbackUser } = options;
  const { home, localUser } = around;
  const address = (settings.hostName ?? ssh.address).replaceAll("%h", ssh.address).replaceAll("%%", "%");
  const port = ssh.port ?? settings.port ?? 22;
  const user = ssh.user ?? settings.user ?? fallbackUser ?? localUser;
  const tokens: Record<string, string> = {
    d: home,
    h: address,
    n: ssh.address,
    p: String(port),
    r: user,
    u: localUser,
  };
  const expand = (path: string): string =>
    path.replace(/^~(?=\/|$)/, home).replaceAll(/%([dhnpru%])/g, (_, token: string) => tokens[token] ?? "%");
  const identityFiles =
    ssh.identityFiles ?? settings.identityFiles?.filter((path) => path.toLowerCase() !== "none");
  return {
    name,
    address,
    port,
    user,
    identityFiles: (identityFiles ?? defaultIdentities.map((file) => join(home, ".ssh", file))).map(expand),
    identitiesConfigured: identityFiles !== undefined,
    identitiesOnly: ssh.identitiesOnly ?? settings.identitiesOnly ?? false,
    agentSocket: agentSocket(settings.identityAgent, around, expand),
    passphraseCommand: ssh.passphraseCommand,
    knownHostsFiles: knownHostsFiles(ssh, settings, { home, expand }),
    hostKeyAlias: settings.hostKeyAlias,
    hostKeyPin: ssh.hostKey,
    hostKeyChecking: ssh.hostKeyChecking,
    connectTimeoutMs: ssh.connectTimeoutMs,
  };
}

/** Those of ssh's own that ssh2 can use, and those that it cannot, so that they are refused by name. */
const defaultIdentities = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

function agentSocket(
  written: string | undefined,
  around: Surroundings,
  expand: (path: string) => string,
): string | undefined {
  if (written === undefined || written === "SSH_AUTH_SOCK") return around.agentSocket;
  return written.toLowerCase() === "none" ? undefined : expand(written);
}

/** The inventory's files alone, where it names any. */
function knownHostsFiles(
  ssh: Ssh,
  settings: SshSettings,
  { home, expand }: { home: string; expand: (path: string) => string },
): [string, ...string[]] {
  const own = join(home, ".ssh", "known_hosts");
  const files =
    ssh.knownHosts ??
    [
      ...(settings.knownHosts ?? [own, join(home, ".ssh", "known_hosts2")]),
      ...(settings.globalKnownHosts ?? ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]),
    ].map((file) => (file.toLowerCase() === "none" ? "/dev/null" : expand(file)));
  const [first = own, ...others] = files;
  return [first, ...others];
}
