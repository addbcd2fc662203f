import { userInfo } from "node:os";
import { NexcageError } from "../../shared/errors.ts";
import { untilAborted } from "../abort.ts";
import type { Host } from "../inventory/model.ts";
import type { AgentChannel } from "../session.ts";
import type { Transport } from "../transport.ts";
import { startBySudo } from "./become.ts";
import { commandLine } from "./command-line.ts";
import { copyLocally, startLocally } from "./local.ts";
import { Secret } from "./secret.ts";

type Waiting = { signal: AbortSignal };

/** The ways to start words on a host and to send it a file; `Transport` adds sudo to them. */
type Way = {
  start: (words: string[], options: Waiting) => Promise<AgentChannel>;
  upload: Transport["upload"];
  close: () => Promise<void>;
};

export type ConnectorOptions = {
  /** The whole inventory: jump hosts may be in it. */
  hosts: Host[];
  home: string;
  /** `SSH_AUTH_SOCK`, `NEXCAGE_BECOME_PASSWORD`. */
  environment: NodeJS.ProcessEnv;
  /** Asks on the terminal, without an echo; left out where there is none. */
  prompt?: (text: string) => Promise<string>;
};

/**
 * How the hosts of one command are reached. What they share is prepared once: ssh_config, known_hosts, keys and
 * their passphrases, jump hosts, the password for sudo. ssh2 is loaded when the first SSH host is wanted.
 */
export function connector(options: ConnectorOptions): (host: Host, waiting: Waiting) => Promise<Transport> {
  const becomePassword = askOnce(options);
  let ssh: Promise<SshWays> | undefined;
  return async (host, { signal }) => {
    if (host.connection.kind === "local") return transport(host, localWay(host), becomePassword);
    ssh ??= loadSsh(options);
    const way = await (await untilAborted(ssh, signal))(host, { signal });
    return transport(host, way, becomePassword);
  };
}

type SshWays = (host: Host, waiting: Waiting) => Promise<Way>;

async function loadSsh({ hosts, home, environment, prompt }: ConnectorOptions): Promise<SshWays> {
  const [{ Routes }, { KeyRing }, { KnownHostsFiles }, { readSshConfig }, { resolveRoute }] =
    await Promise.all([
      import("./routes.ts"),
      import("./key-ring.ts"),
      import("./known-hosts-files.ts"),
      import("./ssh-config.ts"),
      import("./destination.ts"),
    ]);
  const config = await readSshConfig(home);
  const routes = new Routes({ keys: new KeyRing({ prompt }), knownHosts: new KnownHostsFiles() });
  const agentSocket = environment.SSH_AUTH_SOCK === "" ? undefined : environment.SSH_AUTH_SOCK;
  const around = { config, hosts, home, agentSocket, localUser: userInfo().username };
  return async (host, { signal }) => {
    if (host.connection.kind !== "ssh")
      throw new NexcageError("INTERNAL", `${host.name} is not reached by SSH`);
    const connection = await routes.connect(resolveRoute(host, host.connection, around), { signal });
    return {
      start: (words, waiting) => connection.exec(commandLine(words), waiting),
      upload: (localPath, remotePath, waiting) => connection.upload(localPath, remotePath, waiting),
      close: () => connection[Symbol.asyncDispose](),
    };
  };
}

function localWay(host: Host): Way {
  return {
    start: (words, { signal }) => startLocally(words, { host: host.name, signal }),
    upload: copyLocally,
    close: async () => {},
  };
}

function transport(
  host: Host,
  way: Way,
  password: (waiting: Waiting) => Promise<Secret | undefined>,
): Transport {
  const { start, upload, close } = way;
  return {
    openAgent: async (words, { signal }) =>
      host.become === "sudo"
        ? await startBySudo(words, { start, host: host.name, password, signal })
        : await start(words, { signal }),
    upload,
    [Symbol.asyncDispose]: close,
  };
}

/** The password for sudo: from the environment, else asked once for all hosts. */
function askOnce({
  environment,
  prompt,
}: ConnectorOptions): (waiting: Waiting) => Promise<Secret | undefined> {
  let asked: Promise<Secret | undefined> | undefined;
  const ask = async (): Promise<Secret | undefined> => {
    const given = environment.NEXCAGE_BECOME_PASSWORD;
    if (given !== undefined) return new Secret(given);
    return prompt && new Secret(await prompt("Password for sudo: "));
  };
  return async ({ signal }) => {
    asked ??= ask();
    return await untilAborted(asked, signal);
  };
}
