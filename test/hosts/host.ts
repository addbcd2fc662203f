import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { NexcageError } from "../../shared/errors.ts";
import { killCgroups, makeCgroup, processesOf, removeCgroups } from "./cgroups.ts";
import { addressIn, portName, prefixLength, runName } from "./network.ts";
import { findChild, isInside } from "./processes.ts";
import { ip, type Run } from "./runs.ts";
import { waitFor } from "./wait.ts";

export type ExecOptions = {
  signal?: AbortSignal;
  /** What the program reads on its stdin. */
  input?: string;
  /** Beside the environment of a login over ssh. */
  env?: Record<string, string>;
  /** Default 30 s. */
  timeoutMs?: number;
};

/** `exitCode` is undefined for a program that a signal ended. */
export type ExecResult = { exitCode: number | undefined; stdout: string; stderr: string };

export type UserOptions = { sudo: "none" | "nopasswd" | "password"; password?: string };

/** What `prepareHost` has put on disk. */
export type PreparedHost = {
  run: Run;
  name: string;
  /** Of its address in the run's subnet. */
  index: number;
  dir: string;
  /** In each hierarchy; there while it is on. */
  cgroups: string[];
  /** Root's, as it is called on the host. */
  home: string;
  keyFile: string;
  publicKey: string;
  hostKeyLine: string;
  hostKeyFingerprint: string;
};

// util-linux's names; a host shares only users, time and the files that boot.sh does not replace.
const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid"];
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A machine of its own for tests: network, processes, cgroups, /run, /etc, and a real sshd. */
export class TestHost {
  readonly name: string;
  readonly address: string;
  readonly port = 22;
  readonly user = "root";
  /** The private key that logs in as root and as the users of `addUser`. */
  readonly keyFile: string;
  /** `ADDRESS ssh-ed25519 AAAA…` */
  readonly knownHostsLine: string;
  /** `SHA256:…`, as OpenSSH prints it. */
  readonly hostKeyFingerprint: string;
  /** Its files on disk: `lib` is /var/lib/nexcage, `log` /var/log, `root` the home of root, `etc` what it changed in /etc. */
  readonly dir: string;
  readonly #host: PreparedHost;
  #power: { launcher: ChildProcess; firstProcess: number; off: Promise<unknown> } | undefined;

  constructor(host: PreparedHost) {
    this.name = host.name;
    this.address = addressIn(host.run.id, host.index);
    this.keyFile = host.keyFile;
    this.knownHostsLine = `${this.address} ${host.hostKeyLine}`;
    this.hostKeyFingerprint = host.hostKeyFingerprint;
    this.dir = host.dir;
    this.#host = host;
  }

  /**
   * Switches it on and waits until sshd listens.
   * @throws {NexcageError} `RUNTIME_FAILED` with what its boot said
   */
  async boot({ signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { run, index } = this.#host;
    const logFile = join(this.dir, "boot.log");
    await using log = await open(logFile, "w");
    await using machineNetwork = await open("/proc/self/ns/net");
    const address = `${this.address}/${prefixLength}`;
    const bootArguments = [
      this.dir,
      this.name,
      address,
      addressIn(run.id, 1),
      portName(run.id, index),
      runName(run.id),
    ];
    await Promise.all(this.#host.cgroups.map(makeCgroup));
    const launcher = spawn(
      "unshare",
      [
        ...[...namespaces, "--fork", "--kill-child", "--propagation", "private", "--", "sh"],
        ...this.#join(
          "unshare",
          "--cgroup",
          "--",
          "sh",
          join(import.meta.dirname, "boot.sh"),
          ...bootArguments,
        ),
      ],
      // A session of its own: Ctrl-C in a terminal is for the owner alone, who then takes the host down.
      {
        cwd: "/",
        detached: true,
        env: this.#environment(),
        stdio: ["ignore", log.fd, log.fd, machineNetwork.fd],
      },
    );
    launcher.unref();
    const off = once(launcher, "exit");
    off.catch(() => {}); // `spawn` itself failed: seen below, where there is no pid
    const firstProcess = await waitFor(
      async () => {
        const text = await readFile(logFile, "utf8");
        if (launcher.pid === undefined || launcher.exitCode !== null || launcher.signalCode !== null)
          throw new NexcageError("RUNTIME_FAILED", `test host ${this.name} did not boot: ${text.trim()}`);
        return text.includes("Server listening on") ? await findChild(launcher.pid) : undefined;
      },
      { what: `boot of test host ${this.name}`, timeoutMs: 20_000, signal },
    );
    this.#power = { launcher, firstProcess, off };
  }

  /** Cuts the power: all its processes and cgroups are gone, files on disk stay. */
  async powerOff(): Promise<void> {
    await killCgroups(this.#host.cgroups);
    this.#power?.launcher.ref(); // a process that waits for this alone must not end meanwhile
    await this.#power?.off;
    this.#power = undefined;
    await removeCgroups(this.#host.cgroups);
  }

  /** Power off and on again: /run is empty, /var as it was, sshd back on the same address. */
  async reboot(options: { signal?: AbortSignal } = {}): Promise<void> {
    await this.powerOff();
    await this.boot(options);
  }

  /** Removes it for good, its files too. */
  async stop(): Promise<void> {
    await this.powerOff();
    await rm(this.dir, { recursive: true });
  }

  /** Runs a program inside, as root, in all of the host's namespaces and in its cgroups. */
  async exec(
    args: string[],
    { signal, input = "", env = {}, timeoutMs = 30_000 }: ExecOptions = {},
  ): Promise<ExecResult> {
    const target = `--target=${this.#requirePower().firstProcess}`;
    const { exitCode, stdout, stderr } = await execa(
      "sh",
      this.#join("nsenter", target, ...namespaces, "--cgroup", "--", ...args),
      {
        cwd: "/",
        env: { ...this.#environment(), ...env },
        extendEnv: false,
        input,
        reject: false,
        timeout: timeoutMs,
        ...(signal && { cancelSignal: signal }),
      },
    );
    return { exitCode, stdout, stderr };
  }

  /** Pulls the host's cable: packets are lost in silence, open connections stay as they are. */
  async linkDown(): Promise<void> {
    const { run, index } = this.#host;
    await ip([`link set ${portName(run.id, index)} down`]);
  }

  /** Plugs it in again; when this returns, new connections reach the host. */
  async linkUp({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    const { run, index } = this.#host;
    const port = portName(run.id, index);
    await ip([`link set ${port} up`]);
    await waitFor(
      async () => {
        const forwarding = "3\n"; // BR_STATE_FORWARDING, linux/if_bridge.h
        return (await readFile(`/sys/class/net/${port}/brport/state`, "utf8")) === forwarding || undefined;
      },
      { what: `link of test host ${this.name}`, timeoutMs: 5_000, signal },
    );
    // Without this, what was asked in vain meanwhile answers EHOSTUNREACH for up to 3 s.
    await ip([`neigh flush to ${this.address} dev ${runName(run.id)}`], { force: true });
  }

  /** A file system of its own of so many bytes over a folder, for tests of a full disk; gone after a reboot. */
  async mountSmall(path: string, bytes: number): Promise<void> {
    await this.#must(["mount", "-t", "tmpfs", "-o", `size=${bytes},mode=755`, "tmpfs", path]);
  }

  /** A user who logs in with the same key; asked for by sudo is `password`. */
  async addUser(name: string, { sudo, password }: UserOptions): Promise<void> {
    const home = join(this.dir, "home", name);
    const create = ["--no-log-init", "--create-home", "--home-dir", home, "--shell", "/bin/bash", name];
    await this.#must(["useradd", ...create]);
    if (password !== undefined) await this.#must(["chpasswd"], `${name}:${password}\n`);
    await mkdir(join(home, ".ssh"), { mode: 0o700 });
    await writeFile(join(home, ".ssh/authorized_keys"), this.#host.publicKey, { mode: 0o600 });
    await this.#must(["chown", "-R", `${name}:`, home]);
    if (sudo === "none") return;
    const rule = `${name} ALL=(ALL:ALL) ${sudo === "nopasswd" ? "NOPASSWD: " : ""}ALL\n`;
    await this.#must(["tee", `/etc/sudoers.d/${name}`], rule);
  }

  /** All processes inside, containers' too, by their pids on the machine. */
  async pids(): Promise<number[]> {
    const [anyHierarchy] = this.#host.cgroups;
    const pids = anyHierarchy === undefined ? [] : await processesOf(anyHierarchy);
    const inside = await Promise.all(pids.map(isInside));
    return pids.filter((_, index) => inside[index]);
  }

  /** Its cgroup in each of the machine's hierarchies. */
  cgroupPaths(): string[] {
    return [...this.#host.cgroups];
  }

  async #must(args: string[], input = ""): Promise<void> {
    const { exitCode, stderr } = await this.exec(args, { input });
    if (exitCode !== 0)
      throw new NexcageError("RUNTIME_FAILED", `${args[0]} failed on test host ${this.name}: ${stderr}`);
  }

  #join(...args: string[]): string[] {
    return [join(import.meta.dirname, "join.sh"), ...this.#host.cgroups, "--", ...args];
  }

  #environment(): Record<string, string> {
    return { PATH: searchPath, HOME: this.#host.home, USER: "root", LANG: "C.UTF-8" };
  }

  #requirePower(): { firstProcess: number } {
    if (this.#power === undefined) throw new NexcageError("RUNTIME_FAILED", `test host ${this.name} is off`);
    return this.#power;
  }
}
