import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import type { Backend } from "../../agent/backends/backend.ts";
import type { ImageStore } from "../../agent/images/store.ts";
import { lazy } from "../../agent/lazy.ts";
import { agentPaths } from "../../agent/paths.ts";
import { openRuntime, type Runtime } from "../../agent/runtime.ts";
import { serveSession } from "../../agent/server/session.ts";
import type { LockFile } from "../../agent/state/lock.ts";
import type { AgentChannel } from "../../controller/session.ts";
import type { Transport } from "../../controller/transport.ts";
import { NexcageError } from "../../shared/errors.ts";
import { SimulatedContainers, simulatedBackend } from "./backend.ts";
import type { Random } from "./random.ts";

/** What goes wrong on a host, each with so much chance at each opportunity; none once the faults stop. */
export type Faults = {
  /** Per step of an operation: the agent is killed. */
  kill: number;
  /** Per step of an operation: the link is cut, while the agent goes on and notices late. */
  cut: number;
  /** Per connection: the host cannot be reached. */
  down: number;
};

export const noFaults: Faults = { kill: 0, cut: 0, down: 0 };

/**
 * A host that needs no machine: the product's own agent and protocol, over a pair of streams, with real
 * files in a folder of its own, and containers that only have states.
 */
export class SimulatedHost implements AsyncDisposable {
  readonly containers = new SimulatedContainers();
  readonly #folder: string;
  readonly #random: Random;
  readonly #locks = new Map<string, symbol>();
  readonly #sessions = new Set<Promise<void>>();
  readonly #agents = new Set<() => void>();
  /** What a killed agent waits for: it comes when all is over, so that its files can be closed. */
  readonly #over = Promise.withResolvers<never>();
  faults: Faults = noFaults;
  #nextId = 1;

  private constructor(folder: string, random: Random) {
    this.#folder = folder;
    this.#random = random;
  }

  static async make(random: Random): Promise<SimulatedHost> {
    return new SimulatedHost(await mkdtemp("/dev/shm/nexcage-simulated-"), random);
  }

  async connect(name: string): Promise<Transport> {
    if (this.#random.chance(this.faults.down))
      throw new NexcageError("HOST_UNREACHABLE", `${name} is simulated to be down`);
    return {
      openAgent: async () => this.#startAgent(name),
      upload: async () => false,
      [Symbol.asyncDispose]: async () => {},
    };
  }

  /** All processes are gone, and what was in /run with them. */
  async reboot(): Promise<void> {
    for (const kill of this.#agents) kill();
    await sleep(5); // what a killed agent had handed to the kernel is written
    this.containers.reboot();
    await rm(join(this.#folder, "run"), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.promise.catch(() => {});
    this.#over.reject(new Error("the simulation is over"));
    await Promise.allSettled(this.#sessions);
    await rm(this.#folder, { recursive: true, force: true });
  }

  #startAgent(name: string): AgentChannel {
    const toAgent = new PassThrough();
    const fromAgent = new PassThrough();
    const stderr = new PassThrough();
    const exited = Promise.withResolvers<Awaited<AgentChannel["exited"]>>();
    const owner = Symbol(name);
    const state = { killed: false };
    const forever = this.#over.promise;

    const kill = (): void => {
      state.killed = true;
      this.#agents.delete(kill);
      for (const [path, holder] of this.#locks) if (holder === owner) this.#locks.delete(path);
      toAgent.end();
      fromAgent.end();
      exited.resolve({ signal: "SIGKILL" });
    };
    const cut = (): void => {
      fromAgent.unpipe();
      exited.resolve({
        error: new NexcageError("CONNECTION_LOST", `the link to ${name} is simulated to be cut`),
      });
      // The agent sees the end of its input a little later.
      setTimeout(() => toAgent.end(), this.#random.below(20)).unref();
    };

    const session = this.#serve({
      toAgent,
      fromAgent,
      owner,
      alive: () => (state.killed ? forever : Promise.resolve()),
      onStep: () => {
        if (!state.killed && this.#random.chance(this.faults.kill)) kill();
        if (state.killed) return forever;
        if (this.#random.chance(this.faults.cut)) cut();
      },
    }).then(
      () => {
        this.#agents.delete(kill);
        exited.resolve({ code: 0 });
      },
      (error: unknown) => {
        this.#agents.delete(kill);
        stderr.write(`${error}\n`);
        exited.resolve({ code: 1 });
      },
    );
    this.#agents.add(kill);
    this.#sessions.add(session);
    return {
      stdin: toAgent,
      stdout: fromAgent,
      stderr,
      exited: exited.promise,
      destroy: () => toAgent.end(),
    };
  }

  async #serve(options: {
    toAgent: PassThrough;
    fromAgent: PassThrough;
    owner: symbol;
    alive: () => Promise<void>;
    onStep: () => void | Promise<void>;
  }): Promise<void> {
    const { toAgent, fromAgent, owner, alive, onStep } = options;
    const signal = new AbortController().signal;
    await using runtime = await openSimulatedRuntime({
      folder: this.#folder,
      backend: simulatedBackend(this.containers, alive),
      lockFile: simulatedLocks(this.#locks, owner),
      newId: () => `agent-${this.#nextId++}`,
      onStep,
    });
    await serveSession({ input: toAgent, output: fromAgent, runtime, signal });
  }
}

/** The product's own runtime over a backend that keeps states, its files in `folder`. */
function openSimulatedRuntime(options: {
  folder: string;
  backend: Backend;
  lockFile: LockFile;
  newId: () => string;
  onStep?: () => void | Promise<void>;
}): Promise<Runtime> {
  const { folder, backend, lockFile, newId, onStep } = options;
  const paths = agentPaths({
    NEXCAGE_RUN_DIR: join(folder, "run"),
    NEXCAGE_LIB_DIR: join(folder, "lib"),
    NEXCAGE_LOG_DIR: join(folder, "log"),
    NEXCAGE_LOCK_DIR: join(folder, "lock"),
  });
  return openRuntime(
    {
      paths,
      backends: [backend],
      images: lazy(async () => noImages),
      lockFile,
      lockTimeoutMs: 10_000,
      hostname: "simulated",
      now: () => new Date(),
      newId,
      log: pino({ level: "silent" }),
      onStep,
    },
    { signal: new AbortController().signal },
  );
}

/** A runtime by itself, for tests of what stands above it; each change waits for `alive`. */
export async function simulatedRuntime(
  alive: () => Promise<void> = async () => {},
): Promise<{ runtime: Runtime; dispose: () => Promise<void> }> {
  const folder = await mkdtemp("/dev/shm/nexcage-simulated-");
  const runtime = await openSimulatedRuntime({
    folder,
    backend: simulatedBackend(new SimulatedContainers(), alive),
    lockFile: simulatedLocks(new Map(), Symbol("runtime")),
    newId: () => "agent-1",
  });
  return {
    runtime,
    async dispose() {
      await runtime[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Locks as flock(2) has them, that a killed agent loses. */
function simulatedLocks(held: Map<string, symbol>, owner: symbol): LockFile {
  return async (path, { wait, signal }) => {
    while (held.has(path)) {
      if (!wait) return undefined;
      await sleep(1, undefined, { signal });
    }
    held.set(path, owner);
    return {
      write: async () => {},
      [Symbol.asyncDispose]: async () => {
        if (held.get(path) === owner) held.delete(path);
      },
    };
  };
}

/** Simulated containers come from bundles: there is nothing to send. */
export const noImages: ImageStore = {
  missing: async () => [],
  begin: async () => ({ upload: "none", path: "/dev/null", present: true }),
  chunk: async () => {},
  commit: async () => {},
  cancel: async () => {},
  rootfs: async () => "/",
  prune: async () => [],
  [Symbol.asyncDispose]: async () => {},
};
