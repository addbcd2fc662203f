import { type Desired, keyOf, type Plan } from "../../controller/plan/model.ts";
import type { Observed } from "../../shared/container.ts";
import { ContainerId } from "../../shared/ids.ts";
import type { ContainerSpec } from "../../shared/spec.ts";

export type SpecWords = Partial<Omit<ContainerSpec, "id">>;

function specOf(id: string, words: SpecWords = {}): ContainerSpec {
  return {
    id: ContainerId.parse(id),
    runtime: "crun",
    source: { kind: "bundle", path: `/srv/${id}` },
    command: ["/bin/app"],
    ...words,
  };
}

export type DesiredWords = Partial<Omit<Desired, "id" | "host" | "spec">> & { spec?: SpecWords };

/** `web-1@pve1`: wanted there, of the key `web` where no other name is said. */
export function desired(key: string, { spec, ...words }: DesiredWords = {}): Desired {
  const [id = "", host = ""] = key.split("@");
  return {
    name: id.replace(/-\d+$/, ""),
    id: ContainerId.parse(id),
    host,
    mode: "replicated",
    spec: specOf(id, spec),
    dependsOn: [],
    placement: `host: ${host}`,
    protect: false,
    place: { file: "fleet.yaml", line: 1, column: 1 },
    ...words,
  };
}

export type ObservedWords = {
  fleet?: string | null;
  status?: Observed["state"]["status"];
  spec?: SpecWords | null;
  exit?: Observed["exit"];
};

/** What a host lists: of the fleet `shop` and running where nothing else is said. */
export function observed(
  id: string,
  { fleet = "shop", status = "running", spec = {}, exit }: ObservedWords = {},
): Observed {
  return {
    id: ContainerId.parse(id),
    backend: "crun",
    state: { ociVersion: "1.3.0", id, status, pid: status === "running" ? 4711 : 0, bundle: `/srv/${id}` },
    ...(fleet !== null && { fleet }),
    ...(spec !== null && { spec: specOf(id, spec) }),
    ...(exit !== undefined && { exit }),
  };
}

/** Hosts with what is on them, as `planFleet` takes it. */
export function hosts(on: Record<string, Observed[]>): Map<string, Observed[]> {
  return new Map(Object.entries(on));
}

/** A plan in short: `create web-1@pve1: is not there`. */
export function lines({ changes }: Plan): string[] {
  return changes.map((change) => `${change.kind} ${keyOf(change)}: ${change.reason}`);
}

/**
 * What is there after a plan, done by a model of the agent that knows no more than the protocol says.
 * Throws where a change is not possible, or is done before one that it waits for.
 */
export function carryOut(
  plan: Plan,
  there: ReadonlyMap<string, readonly Observed[]>,
): Map<string, Observed[]> {
  const now = new Map([...there].map(([host, list]) => [host, new Map(list.map((one) => [one.id, one]))]));
  const open = new Map(
    plan.changes.filter(({ kind }) => kind !== "keep").map((change) => [keyOf(change), change]),
  );
  while (open.size > 0) {
    const ready = [...open.values()].filter(({ after }) => !after.some((key) => open.has(key)));
    if (ready.length === 0) throw new Error(`these wait for each other: ${[...open.keys()].join(", ")}`);
    for (const change of ready) {
      open.delete(keyOf(change));
      const host = now.get(change.host);
      if (host === undefined) throw new Error(`${change.host} was not looked at`);
      const one = host.get(change.id);
      if ((change.kind === "create") === (one !== undefined))
        throw new Error(`cannot ${change.kind} ${keyOf(change)}`);
      if (one !== undefined && one.fleet !== plan.fleet) throw new Error(`${keyOf(change)} is not ours`);
      if (change.kind === "delete") host.delete(change.id);
      else {
        const spec = change.spec ?? one?.spec;
        if (spec === undefined) throw new Error(`no spec for ${keyOf(change)}`);
        const status =
          change.kind === "update" && change.start !== true ? (one?.state.status ?? "created") : "running";
        const made = observed(change.id, { fleet: plan.fleet, status });
        host.set(change.id, { ...made, spec });
      }
    }
  }
  return new Map([...now].map(([host, list]) => [host, [...list.values()]]));
}
