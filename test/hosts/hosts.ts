import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import PQueue from "p-queue";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { makeCgroup } from "./cgroups.ts";
import { TestHost } from "./host.ts";
import { maximumHosts } from "./network.ts";
import { type Debian, makeKeyPair, prepareHost } from "./prepare.ts";
import { claimRun, makeBridge, removeRun, sweepRuns } from "./runs.ts";

export { TestHost } from "./host.ts";
export { whyNoHosts } from "./requirements.ts";

export type StartOptions = ({ names: string[] } | { count: number }) & {
  /** Hosts that are Proxmox VE nodes too, with a stand-in for `pct` and real LXC under it: all, or by name. */
  proxmox?: boolean | string[];
  /** Hosts with a bare Debian of that suite in place of this machine's files, by name; `addUser` is not for them. */
  debian?: Record<string, Debian>;
  /** A new folder for the run's files, on a disk; default below /var/tmp. */
  dir?: string;
  /** For `main.ts up`: "main.ts down" may end it. */
  byHand?: boolean;
  signal?: AbortSignal;
};

export type TestHosts = AsyncDisposable & {
  hosts: TestHost[];
  /** Where the run's files are; `ssh -F DIR/ssh_config NAME` logs in. */
  dir: string;
  /** By name. @throws {NexcageError} `USAGE` */
  host(name: string): TestHost;
  /** Ends and removes everything that the run has made. */
  stop(): Promise<void>;
};

/**
 * Brings up hosts that reach each other by name and are reached from this machine by address; first
 * removes what crashed runs have left. Ask `whyNoHosts` before.
 * @throws {NexcageError} `RUNTIME_FAILED`, `USAGE`
 */
export async function startHosts({
  dir,
  byHand = false,
  proxmox = false,
  debian = {},
  signal,
  ...which
}: StartOptions): Promise<TestHosts> {
  const names =
    "names" in which ? which.names : Array.from({ length: which.count }, (_, index) => `host${index + 1}`);
  requireNames(names);
  if (dir !== undefined) await makeDir(dir);
  await sweepRuns();

  const { equipProxmox } = await import("../proxmox/equip.ts");
  const equipmentOf = (name: string) =>
    proxmox === true || (proxmox !== false && proxmox.includes(name)) ? equipProxmox : undefined;

  await using undo = new AsyncDisposableStack();
  const run = await claimRun({ dir, byHand });
  undo.defer(() => removeRun(run));
  await mkdir(join(run.dir, "hosts"), { recursive: true });
  await Promise.all(run.cgroups.map(makeCgroup));
  await makeBridge(run);
  const clientKey = await makeKeyPair(join(run.dir, "id_ed25519"), { comment: "test hosts" });
  // A few at a time, so that each boots within its time limit however many there are.
  const queue = new PQueue({ concurrency: 2 * availableParallelism() });
  undo.defer(async () => {
    queue.clear();
    await queue.onIdle(); // after a failure, before the run is removed: what still boots would make things anew
  });
  const hosts = await queue.addAll(
    names.map((name, index) => async () => {
      const options = {
        name,
        index: index + 2,
        names,
        clientKey,
        equip: equipmentOf(name),
        debian: debian[name],
      };
      const host = new TestHost(await prepareHost(run, options));
      await host.boot({ signal });
      return host;
    }),
  );
  await writeFile(
    join(run.dir, "known_hosts"),
    hosts.map(({ knownHostsLine }) => `${knownHostsLine}\n`).join(""),
  );
  await writeFile(join(run.dir, "ssh_config"), sshConfig(run.dir, hosts));

  const everything = undo.move();
  return {
    hosts,
    dir: run.dir,
    host(name) {
      const host = hosts.find((candidate) => candidate.name === name);
      if (host === undefined) throw new NexcageError("USAGE", `there is no test host "${name}"`);
      return host;
    },
    stop: () => everything.disposeAsync(),
    [Symbol.asyncDispose]: () => everything.disposeAsync(),
  };
}

function sshConfig(dir: string, hosts: TestHost[]): string {
  const entries = hosts.map(
    ({ name, address, user }) => `Host ${name}\n  HostName ${address}\n  User ${user}\n`,
  );
  return `${entries.join("")}Host *
  IdentityFile ${join(dir, "id_ed25519")}
  IdentitiesOnly yes
  UserKnownHostsFile ${join(dir, "known_hosts")}
  GlobalKnownHostsFile /dev/null
`;
}

function requireNames(names: string[]): void {
  const wrong = names.find((name) => !/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name));
  if (wrong !== undefined) throw new NexcageError("USAGE", `"${wrong}" is not a host name`);
  if (new Set(names).size < names.length)
    throw new NexcageError("USAGE", "two test hosts have the same name");
  if (names.length < 1 || names.length > maximumHosts)
    throw new NexcageError("USAGE", `${names.length} test hosts: must be 1 to ${maximumHosts}`);
}

/** A new folder, because the end of the run removes it; hosts have their own /run and the like over the machine's. */
async function makeDir(dir: string): Promise<void> {
  if (!isAbsolute(dir) || /^\/(run|proc|sys|etc)(\/|$)/.test(dir) || /[\s,:]/.test(dir))
    throw new NexcageError("USAGE", `"${dir}" cannot hold test hosts`, {
      hint: "an absolute path on a disk, without spaces, commas and colons",
    });
  try {
    await mkdir(dirname(dir), { recursive: true });
    await mkdir(dir);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
    throw new NexcageError("USAGE", `${dir} exists already`, {
      hint: "test hosts want a new folder",
      cause: error,
    });
  }
}
