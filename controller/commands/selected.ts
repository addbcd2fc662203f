import type { Observed } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import { EnvironmentName, volumesOf } from "../../shared/spec.ts";
import { parseDuration } from "../../shared/units.ts";
import type { HostAgent } from "../fleet.ts";
import { type Desired, keyOf } from "../plan/model.ts";
import type { StatusRow } from "../report/status.ts";
import { isCurrent } from "./planning.ts";
import type { FleetContext } from "./with-fleet.ts";

export type SelectedContainer = { host: string; container: Observed; agent: HostAgent };

/**
 * The containers of this fleet that are there and selected, sorted by name, then host.
 * @throws {NexcageError} `SELECTION_EMPTY` when all hosts were seen, and a selector matches nothing there
 */
export function selectedContainers(
  { fleet, selection, opened }: FleetContext,
  observed: Map<string, Observed[]>,
): SelectedContainer[] {
  const selected = [...opened.agents].flatMap(([host, agent]) =>
    (observed.get(host) ?? [])
      .filter(({ id, fleet: owner }) => owner === fleet.name && selection.matches({ host, id }))
      .map((container) => ({ host, container, agent })),
  );
  if (opened.unreachable.size === 0) {
    if (selected.length === 0)
      throw new NexcageError(
        "SELECTION_EMPTY",
        `no container of fleet ${fleet.name} that is there is selected`,
        { hint: "what is there: nexcage fleet status" },
      );
    selection.requireEach(selected.map(({ host, container }) => ({ host, id: container.id })));
  }
  return selected.sort(byName(({ container, host }) => ({ id: container.id, host })));
}

/** The rows of `fleet status`: what is wanted, then what else this fleet has; with `all` also what is others'. */
export function statusRows(
  { fleet, selection, opened }: FleetContext,
  options: { desired: Desired[]; observed: Map<string, Observed[]>; all: boolean },
): StatusRow[] {
  const { desired, observed, all } = options;
  const found = new Map(
    [...observed].flatMap(([host, list]) =>
      list.map((container) => [keyOf({ host, id: container.id }), { host, container }] as const),
    ),
  );
  const rows: StatusRow[] = desired.map((one) => {
    const container = found.get(keyOf(one))?.container;
    found.delete(keyOf(one));
    return {
      id: one.id,
      host: one.host,
      wanted: "running",
      observed: container,
      spec: specOf(one, container, opened.unreachable.has(one.host)),
    };
  });
  for (const { host, container } of found.values()) {
    const ours = container.fleet === fleet.name;
    if ((!ours && !all) || !selection.matches({ host, id: container.id })) continue;
    rows.push({
      id: container.id,
      host,
      wanted: ours ? "absent" : "not ours",
      observed: container,
      spec: "current",
    });
  }
  return rows.sort(byName((row) => row));
}

function byName<T>(of: (item: T) => { id: string; host: string }): (a: T, b: T) => number {
  const key = (item: T): string => `${of(item).id}\0${of(item).host}`;
  return (a, b) => (key(a) < key(b) ? -1 : 1);
}

function specOf(desired: Desired, observed: Observed | undefined, unreachable: boolean): StatusRow["spec"] {
  if (unreachable) return "unknown";
  return observed === undefined || isCurrent(desired, observed) ? "current" : "differs";
}

/**
 * `NAME=VALUE` words as an environment.
 * @throws {NexcageError} `USAGE`
 */
export function parseEnvironment(words: string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf("=");
      const name = word.slice(0, Math.max(at, 0));
      if (!EnvironmentName.safeParse(name).success)
        throw new NexcageError("USAGE", `--env ${JSON.stringify(word)} is not NAME=VALUE`);
      return [name, word.slice(at + 1)];
    }),
  );
}

/**
 * `10m` ago or a time, as an ISO time; undefined where it was not given.
 * @throws {NexcageError} `USAGE`
 */
export function parseSince(text: string | undefined, now: Date): string | undefined {
  if (text === undefined) return undefined;
  const agoMs = parseDuration(text);
  const since = agoMs === undefined ? new Date(text) : new Date(now.getTime() - agoMs);
  if (!Number.isNaN(since.getTime())) return since.toISOString();
  throw new NexcageError("USAGE", `--since ${JSON.stringify(text)} is no time`, {
    hint: "such as 10m, or 2026-11-24T10:00:00Z",
  });
}

/** `db@pve1 with its volumes data, logs`: what is lost with a container. Pure. */
export function nameWithVolumes({ host, container: { id, spec } }: SelectedContainer): string {
  const [first, ...more] = volumesOf(spec ?? {}).map(({ name }) => name);
  if (first === undefined) return `${id}@${host}`;
  return `${id}@${host} with its volume${more.length === 0 ? "" : "s"} ${[first, ...more].join(", ")}`;
}
