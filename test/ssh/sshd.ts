// Real OpenSSH servers on loopback, with keys and homes of their own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { execa } from "execa";
import type { Host, Ssh } from "../../controller/inventory/model.ts";
import { connector } from "../../controller/ssh/connect.ts";
import type { Transport } from "../../controller/transport.ts";

const sshdPath = "/usr/sbin/sshd";
export const hasSshd = existsSync(sshdPath);
export const isRoot = process.getuid?.() === 0;
export const user = userInfo().username;

type KeyType = "ed25519" | "ecdsa" | "rsa";

type Key = { path: string; publicLine: string; fingerprint: string };

/** A temporary home of a user who runs nexcage. */
export type Home = AsyncDisposable & {
  path: string;
  file(name: string): string;
  write(name: string, text: string): Promise<string>;
  key(name: string, options?: { type?: KeyType; passphrase?: string; bits?: number }): Promise<Key>;
};

export async function makeHome(): Promise<Home> {
  const path = await mkdtemp(join(tmpdir(), "nexcage-ssh-"));
  await mkdir(join(path, ".ssh"), { mode: 0o700 });
  const file = (name: string): string => join(path, name);
  return {
    path,
    file,
    async write(name, text) {
      await writeFile(file(name), text, { mode: 0o600 });
      return file(name);
    },
    key: (name, options) => makeKey(file(name), options),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

async function makeKey(
  path: string,
  options: { type?: KeyType; passphrase?: string; bits?: number } = {},
): Promise<Key> {
  const { type = "ed25519", passphrase = "", bits } = options;
  const size = bits === undefined ? [] : ["-b", String(bits)];
  await execa("ssh-keygen", ["-q", "-t", type, ...size, "-N", passphrase, "-C", "test key", "-f", path]);
  const publicLine = (await readFile(`${path}.pub`, "utf8")).trim();
  const { stdout } = await execa("ssh-keygen", ["-lf", `${path}.pub`]);
  return { path, publicLine, fingerprint: stdout.split(" ")[1] ?? "" };
}

export type Sshd = AsyncDisposable & {
  address: string;
  port: number;
  pid: number;
  hostKeys: Record<KeyType, Key>;
  /** `[address]:port type base64`. */
  knownHostsLine(type?: KeyType): string;
  /** The home of who logs in. */
  home: string;
  /** What it has logged so far. */
  log(): string;
  /** The pids of its sessions. */
  sessions(): Promise<number[]>;
};

export type SshdOptions = {
  authorizedKeys: string[];
  /** The order in which it shows them is the client's. */
  hostKeyTypes?: KeyType[];
  /** `Name=value`; the first of two counts, so these win over the fixture's. */
  options?: string[];
  sftp?: boolean;
  /** Words before sshd's own, which end by becoming it. */
  wrapper?: string[];
};

export async function startSshd({
  authorizedKeys,
  hostKeyTypes = ["ed25519"],
  options = [],
  sftp = true,
  wrapper = [],
}: SshdOptions): Promise<Sshd> {
  if (isRoot) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const folder = await mkdtemp(join(tmpdir(), "nexcage-sshd-"));
  const hostKeys = Object.fromEntries(
    await Promise.all(
      hostKeyTypes.map(
        async (type) => [type, await makeKey(join(folder, `host_${type}`), { type })] as const,
      ),
    ),
  ) as Record<KeyType, Key>; // asking for one that was not made fails in the test
  await chmod(folder, 0o755); // whoever logs in reads it
  await writeFile(join(folder, "authorized_keys"), `${authorizedKeys.join("\n")}\n`);
  const { address, port } = await freePort();
  const settings = [
    ...options,
    `ListenAddress=${address}:${port}`,
    ...hostKeyTypes.map((type) => `HostKey=${hostKeys[type].path}`),
    `AuthorizedKeysFile=${join(folder, "authorized_keys")}`,
    "PidFile=none",
    "StrictModes=no",
    "UsePAM=no",
    "PermitRootLogin=yes",
    ...(sftp ? ["Subsystem=sftp internal-sftp"] : []),
    "LogLevel=VERBOSE",
    `SetEnv=HOME=${folder}`, // no .bashrc but the test's own: this machine's may take seconds
  ];
  const words = ["-D", "-e", "-f", "/dev/null", ...settings.flatMap((text) => ["-o", text])];
  const [program = "", ...args] = [...wrapper, sshdPath, ...words];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const pid = child.pid ?? 0;
  let log = "";
  const listening = Promise.withResolvers<void>();
  createInterface({ input: child.stderr }).on("line", (line) => {
    log += `${line}\n`;
    if (line.includes(`Server listening on ${address} port ${port}`)) listening.resolve();
  });
  const exited = once(child, "exit");
  exited.then(() => listening.reject(new Error(`sshd ended: ${log}`)), listening.reject);
  await listening.promise;
  return {
    address,
    port,
    pid,
    hostKeys,
    home: folder,
    knownHostsLine: (type = "ed25519") => `[${address}]:${port} ${hostKeys[type].publicLine}`,
    log: () => log,
    sessions: () => children(pid),
    async [Symbol.asyncDispose]() {
      const started = await descendants(pid);
      child.kill("SIGKILL");
      for (const session of started) signalIfThere(session);
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** An address and a port on it that nothing listens on. */
export async function freePort(): Promise<{ address: string; port: number }> {
  const address = `127.${100 + Math.floor(Math.random() * 100)}.${Math.floor(Math.random() * 250)}.1`;
  const server = createServer().listen(0, address);
  await once(server, "listening");
  const bound = server.address();
  server.close();
  await once(server, "close");
  if (bound === null || typeof bound === "string") throw new Error("no port");
  return { address, port: bound.port };
}

async function children(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return text.split(" ").filter(Boolean).map(Number);
}

async function descendants(pid: number): Promise<number[]> {
  const direct = await children(pid);
  return [...direct, ...(await Promise.all(direct.map(descendants))).flat()];
}

function signalIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it ended by itself meanwhile
  }
}

/** A host of the inventory at this address. */
export function sshHost(
  at: { address: string; port?: number },
  { name = "pve1", become = "none", ...ssh }: Partial<Ssh> & { name?: string; become?: Host["become"] } = {},
): Host {
  return {
    name,
    connection: {
      kind: "ssh",
      address: at.address,
      ...(at.port !== undefined && { port: at.port }),
      user,
      hostKeyChecking: "strict",
      connectTimeoutMs: 60_000, // a busy machine must not fail a test
      ...ssh,
    },
    become,
    agentPath: "/usr/bin/nexcage-agent",
    hostParallel: 2,
    storageParallel: 1,
    commandTimeoutMs: 60_000,
    groups: [],
    labels: {},
    vars: {},
    place: { file: "inventory.yaml", line: 1, column: 1 },
  };
}

/** Connects one host as a command of that home's user would. */
export async function connectHost(
  home: Home,
  host: Host,
  options: {
    environment?: NodeJS.ProcessEnv;
    prompt?: (text: string) => Promise<string>;
    hosts?: Host[];
    signal?: AbortSignal;
  } = {},
): Promise<Transport> {
  const { environment = {}, prompt, hosts = [host], signal = AbortSignal.timeout(120_000) } = options;
  const connect = connector({ hosts, home: home.path, environment, ...(prompt !== undefined && { prompt }) });
  return await connect(host, { signal });
}

/** Runs words on a host to their end. */
export async function run(
  transport: Transport,
  words: string[],
  { stdin = "" }: { stdin?: string } = {},
): Promise<{ stdout: string; stderr: string; code?: number | undefined; signal?: string | undefined }> {
  const signal = AbortSignal.timeout(30_000);
  const channel = await transport.openAgent(words, { signal });
  channel.stdin.end(stdin);
  const [stdout, stderr, exit] = await Promise.all([
    channel.stdout.toArray(),
    channel.stderr.toArray(),
    channel.exited,
  ]);
  if (exit.error !== undefined) throw exit.error;
  return { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(), ...exit };
}

/** A user with a key, and an sshd that knows it and is known: what most tests start from. */
export type World = AsyncDisposable & {
  home: Home;
  key: Key;
  sshd: Sshd;
  /** A host of the inventory at this sshd, with the key written down. */
  host(changes?: Parameters<typeof sshHost>[1]): Host;
  connect(host?: Host, options?: Parameters<typeof connectHost>[2]): Promise<Transport>;
};

export async function makeWorld({
  type = "ed25519",
  ...options
}: Partial<SshdOptions> & { type?: KeyType } = {}): Promise<World> {
  await using undo = new AsyncDisposableStack();
  const home = undo.use(await makeHome());
  const key = await home.key("id", { type });
  const sshd = undo.use(await startSshd({ authorizedKeys: [key.publicLine], ...options }));
  const [hostKeyType = "ed25519"] = options.hostKeyTypes ?? [];
  await home.write(".ssh/known_hosts", `${sshd.knownHostsLine(hostKeyType)}\n`);
  const host: World["host"] = (changes) => sshHost(sshd, { identityFiles: [key.path], ...changes });
  const resources = undo.move();
  return {
    home,
    key,
    sshd,
    host,
    connect: (wanted = host(), how) => connectHost(home, wanted, how),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}
