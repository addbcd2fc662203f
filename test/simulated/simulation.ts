import { randomUUID } from "node:crypto";
import { apply } from "../../controller/apply/apply.ts";
import { type OpenFleet, openFleet } from "../../controller/fleet.ts";
import type { Fleet, Host } from "../../controller/inventory/model.ts";
import { listContainers } from "../../controller/list.ts";
import { planFleet } from "../../controller/plan/diff.ts";
import { changing, type Desired, type Plan } from "../../controller/plan/model.ts";
import { asNexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";
import type { ContainerSpec } from "../../shared/spec.ts";
import { type Faults, noFaults, SimulatedHost } from "./host.ts";
import { Random } from "./random.ts";

/** What one seed came to: the promises that were broken, none when all is well. */
export type SimulationResult = { seed: number; broken: string[]; story: string[] };

const place = { file: "simulated", line: 1, column: 1 };
const names = ["web-1", "web-2", "db", "cache", "worker", "mail"] as const;
const commands: [string[], ...string[][]] = [["/a"], ["/b"], ["/c"]];

/**
 * One life of a random fleet: it is applied, edited and applied again while agents are killed, links cut,
 * hosts away and rebooted; then the faults stop, and one more apply must bring all of it to what is wanted.
 */
export async function simulate(seed: number): Promise<SimulationResult> {
  const random = new Random(seed);
  const broken: string[] = [];
  const story: string[] = [];
  const hosts = new Map<string, SimulatedHost>();
  await using cleanup = new AsyncDisposableStack();
  for (let index = 1; index <= 1 + random.below(3); index++)
    hosts.set(`host${index}`, cleanup.use(await SimulatedHost.make(random)));
  for (const host of hosts.values())
    if (random.chance(0.3)) host.containers.addForeign(specOf("not-ours", random));

  // A killed agent must not have two operations under way: what the second still writes would come after
  // its death. So seeds either kill, one step at a time, or cut links, many steps at a time.
  const kills = random.chance(0.5);
  const faults: Faults = { kill: kills ? 0.08 : 0, cut: kills ? 0 : 0.08, down: 0.1 };
  const inventory = [...hosts.keys()].map((name) => hostOf(name, { hostParallel: kills ? 1 : 4 }));
  let desired = randomFleet([...hosts.keys()], random);

  const rounds = 2 + random.below(3);
  for (let round = 0; round < rounds; round++) {
    setFaults(hosts, faults);
    const ended = await applyOnce({ inventory, desired, hosts });
    story.push(`round ${round}: ${desired.map(({ id, host }) => `${id}@${host}`).join(" ")}: ${ended}`);
    if (random.chance(0.2)) await random.pick(listOf(hosts)).reboot();
    desired = random.chance(0.7) ? edit(desired, [...hosts.keys()], random) : desired;
  }

  setFaults(hosts, noFaults);
  const last = await applyOnce({ inventory, desired, hosts });
  story.push(`faults stop: ${last}`);
  if (last !== "done") broken.push(`the apply after the faults stopped ended with: ${last}`);
  const left = await planOnce({ inventory, desired, hosts });
  const changes = left.changes.filter(({ kind }) => changing.has(kind));
  if (changes.length > 0)
    broken.push(`not converged: ${changes.map(({ kind, id, host }) => `${kind} ${id}@${host}`).join(", ")}`);
  broken.push(...compare(desired, hosts));
  for (const [name, { containers }] of hosts)
    broken.push(...containers.violations.map((violation) => `${name}: ${violation}`));
  return { seed, broken, story };
}

type World = { inventory: Host[]; desired: Desired[]; hosts: Map<string, SimulatedHost> };

async function open({ inventory, hosts }: World, signal: AbortSignal): Promise<OpenFleet> {
  return await openFleet(inventory, {
    connect: async ({ name }) => {
      const host = hosts.get(name);
      if (host === undefined) throw new Error(`no simulated host ${name}`);
      return await host.connect(name);
    },
    forks: 8,
    emit: () => {},
    reconnectMs: 500,
    retryMs: 1,
    signal,
  });
}

async function applyOnce(world: World): Promise<string> {
  const { signal } = new AbortController();
  await using opened = await open(world, signal);
  try {
    const outcome = await apply({
      fleet,
      opened,
      holder: { user: "sim", host: "sim", pid: 1, since: new Date().toISOString() },
      lockWaitMs: 5_000,
      desired: world.desired,
      images: [],
      plan: (observed) => planOf(world, observed, new Set(opened.unreachable.keys())),
      confirm: async () => {},
      newOperationId: () => OperationId.parse(randomUUID()),
      settleMs: 0,
      emit: () => {},
      signal,
    });
    const failed = outcome.changes.filter(({ kind }) => kind !== "done");
    if (failed.length === 0 && outcome.unreachable.size === 0) return "done";
    return [
      ...outcome.changes.flatMap((one) =>
        one.kind === "failed"
          ? [`${one.change.kind} ${one.change.id}@${one.change.host}: ${one.error.code} ${one.error.message}`]
          : one.kind === "skipped"
            ? [`${one.change.id}@${one.change.host} skipped: ${one.reason}`]
            : [],
      ),
      ...[...outcome.unreachable].map(([host, error]) => `${host}: ${error.code}`),
    ].join("; ");
  } catch (error) {
    const { code, message } = asNexcageError(error);
    return `${code} ${message}`;
  }
}

async function planOnce(world: World): Promise<Plan> {
  const { signal } = new AbortController();
  await using opened = await open(world, signal);
  const observed = await listContainers(opened, { signal });
  return planOf(world, observed, new Set(opened.unreachable.keys()));
}

function planOf(
  { desired }: World,
  observed: Awaited<ReturnType<typeof listContainers>>,
  unreachable: Set<string>,
): Plan {
  return planFleet({ fleet: fleet.name, desired, observed, prune: true, unreachable });
}

/** What is there against what is wanted, seen from below: the containers themselves. */
function compare(desired: Desired[], hosts: Map<string, SimulatedHost>): string[] {
  return [...hosts].flatMap(([name, { containers }]) => {
    const wanted = new Map(desired.filter(({ host }) => host === name).map((one) => [one.id, one.spec]));
    const wrong: string[] = [];
    for (const [id, { spec, live, foreign }] of containers.containers) {
      if (foreign) continue;
      const want = wanted.get(id);
      wanted.delete(id);
      if (want === undefined) wrong.push(`${id}@${name} is there and not wanted`);
      else if (JSON.stringify(want) !== JSON.stringify(spec)) wrong.push(`${id}@${name} has another spec`);
      else if (live.status !== "running") wrong.push(`${id}@${name} is ${live.status}`);
    }
    return [...wrong, ...[...wanted.keys()].map((id) => `${id}@${name} is missing`)];
  });
}

const fleet: Fleet = {
  name: "simulated",
  prune: true,
  onUnreachable: "fail",
  limits: {},
  lockWaitMs: 0,
  wanted: [],
  place,
};

function hostOf(name: string, { hostParallel }: { hostParallel: number }): Host {
  return {
    name,
    connection: { kind: "local" },
    become: "none",
    agentPath: "nexcage-agent",
    hostParallel,
    storageParallel: 1,
    commandTimeoutMs: 5_000,
    groups: [],
    labels: {},
    vars: {},
    place,
  };
}

function specOf(id: string, random: Random): ContainerSpec {
  return {
    id: ContainerId.parse(id),
    runtime: "crun",
    source: { kind: "bundle", path: "/srv/bundle" },
    command: [...random.pick(commands)],
    ...(random.chance(0.5) && { resources: { memoryBytes: 1_048_576 * (1 + random.below(3)) } }),
  };
}

function randomFleet(hosts: string[], random: Random): Desired[] {
  return names.filter(() => random.chance(0.6)).map((id) => desiredOf(id, hosts, random));
}

function desiredOf(id: string, hosts: string[], random: Random): Desired {
  return {
    name: id,
    id: ContainerId.parse(id),
    host: hosts[random.below(hosts.length)] ?? "host1",
    mode: "replicated",
    spec: specOf(id, random),
    dependsOn: [],
    placement: "simulated",
    protect: false,
    place,
  };
}

/** One of them leaves, comes, moves or changes. */
function edit(desired: Desired[], hosts: string[], random: Random): Desired[] {
  const id = random.pick(names);
  const rest = desired.filter((one) => one.id !== id);
  return random.chance(0.25) ? rest : [...rest, desiredOf(id, hosts, random)];
}

function setFaults(hosts: Map<string, SimulatedHost>, faults: Faults): void {
  for (const host of hosts.values()) host.faults = faults;
}

function listOf(hosts: Map<string, SimulatedHost>): [SimulatedHost, ...SimulatedHost[]] {
  const [first, ...rest] = hosts.values();
  if (first === undefined) throw new Error("a simulation has a host");
  return [first, ...rest];
}
