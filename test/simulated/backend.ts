import type { Backend, Live } from "../../agent/backends/backend.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { ContainerId } from "../../shared/ids.ts";
import type { ContainerSpec } from "../../shared/spec.ts";

type Simulated = { spec: ContainerSpec; live: Live; foreign: boolean };

/**
 * The containers of a simulated host: they outlive its agents, as real ones do. What a correct agent
 * never asks for is written down as a violation.
 */
export class SimulatedContainers {
  readonly containers = new Map<ContainerId, Simulated>();
  /** What `retire` has put aside. */
  readonly #aside = new Map<ContainerId, Simulated>();
  readonly violations: string[] = [];
  #nextPid = 1_000;

  addForeign(spec: ContainerSpec): void {
    this.containers.set(spec.id, { spec, live: this.#process("running"), foreign: true });
  }

  create(spec: ContainerSpec): void {
    if (this.containers.has(spec.id)) this.violations.push(`${spec.id} was created twice`);
    this.containers.set(spec.id, { spec, live: this.#process("created"), foreign: false });
  }

  start(id: ContainerId): void {
    const container = this.#own(id, "start");
    if (container.live.status !== "created")
      this.violations.push(`${id} was started while ${container.live.status}`);
    container.live.status = "running";
  }

  end(id: ContainerId): void {
    const container = this.#own(id, "end");
    container.live = {
      status: "stopped",
      pid: 0,
      exit: { exitCode: 0, finishedAt: new Date().toISOString() },
    };
  }

  delete(id: ContainerId): void {
    if (this.containers.get(id)?.foreign === true)
      this.violations.push(`${id} is another's, and was deleted`);
    this.containers.delete(id);
  }

  /** Ends it, and keeps only what a new start needs. */
  stopNow(id: ContainerId): void {
    if (this.containers.has(id)) this.#own(id, "stop");
    this.containers.delete(id);
  }

  retire(id: ContainerId): void {
    const container = this.containers.get(id);
    this.stopNow(id);
    if (container !== undefined) this.#aside.set(id, container);
  }

  restore(id: ContainerId): void {
    this.stopNow(id);
    this.#aside.delete(id);
  }

  discard(id: ContainerId): void {
    this.#aside.delete(id);
  }

  update(spec: ContainerSpec): void {
    this.#own(spec.id, "update").spec = spec;
  }

  /** The host goes down and comes back: no process is left. */
  reboot(): void {
    for (const [id, container] of this.containers)
      if (!container.foreign) this.containers.delete(id);
      else container.live = this.#process("running");
  }

  #own(id: ContainerId, what: string): Simulated {
    const container = this.containers.get(id);
    if (container === undefined)
      throw new NexcageError("CONTAINER_NOT_FOUND", `no simulated container ${id} to ${what}`);
    if (container.foreign) this.violations.push(`${id} is another's, and got ${what}`);
    return container;
  }

  #process(status: Live["status"]): Live {
    const pid = this.#nextPid++;
    return { status, pid, monitor: "alive" };
  }
}

/**
 * A backend that only keeps states, for one agent process. `alive` is asked before each change: it hangs
 * for ever once that process was killed.
 */
export function simulatedBackend(host: SimulatedContainers, alive: () => Promise<void>): Backend {
  const unsupported = (what: string): NexcageError =>
    new NexcageError("BACKEND_UNAVAILABLE", `a simulated container has no ${what}`);
  return {
    name: "crun",
    untraced: "stopped",
    features: async () => ({ name: "crun", available: true, version: "simulated" }),
    check: async () => {},
    async create(spec, { onStep }) {
      await alive();
      await onStep("preparing");
      await alive();
      host.create(spec);
    },
    async start(id) {
      await alive();
      host.start(id);
    },
    async observe(id) {
      const found = host.containers.get(id);
      return found === undefined ? undefined : { ...found.live };
    },
    observeAll: async () => new Map([...host.containers].map(([id, { live }]) => [id, { ...live }])),
    async waitForEnd(id) {
      await alive();
      return host.containers.get(id)?.live.status !== "running";
    },
    async kill(id) {
      await alive();
      host.end(id);
    },
    async stopNow(id) {
      await alive();
      host.stopNow(id);
    },
    async retire(id) {
      await alive();
      host.retire(id);
    },
    async restore(id) {
      await alive();
      host.restore(id);
    },
    async undoReplacement(id) {
      await alive();
      host.delete(id);
    },
    async discard(id) {
      await alive();
      host.discard(id);
    },
    async delete(id) {
      await alive();
      host.delete(id);
    },
    settle: () => alive(),
    watch: async () => {},
    async update(spec, { isLive }) {
      await alive();
      if (isLive) host.update(spec);
    },
    pause: () => Promise.reject(unsupported("pause")),
    resume: () => Promise.reject(unsupported("resume")),
    ps: () => Promise.reject(unsupported("processes")),
    exec: () => Promise.reject(unsupported("exec")),
    logs: async function* () {},
  };
}
