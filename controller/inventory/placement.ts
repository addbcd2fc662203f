import { nearestHint } from "../../shared/nearest.ts";

/*
 * Which hosts run a container's replicas: a pure function of the container's own words and the hosts.
 * Other containers have no say in it, so that one that comes or goes moves no other, and replica 2 is
 * where it was before there was a replica 3.
 */

export type Candidate = { name: string; groups: readonly string[]; labels: Readonly<Record<string, string>> };

/** A container's words about where it runs. */
export type Where = {
  host?: string | undefined;
  mode: "replicated" | "global";
  replicas: number;
  constraints: readonly string[];
  spreadBy?: string | undefined;
  maxPerHost?: number | undefined;
};

/** Where one replica runs; its number is left out where there is but one. */
export type Placed = { host: string; number?: number; reason: string };

/** Why a container cannot be placed, and which of its words is to blame. */
type Misplaced = {
  word: "host" | "constraints" | "spread" | "max_per_host";
  /** Which one of `constraints`. */
  index?: number;
  message: string;
  hint?: string | undefined;
};

export type Placer = (name: string, where: Where) => Placed[] | Misplaced;

/** Places containers on these hosts. Pure: the same words and hosts give the same places. */
export function makePlacer(hosts: readonly Candidate[]): Placer {
  const byName = new Map(hosts.map((host) => [host.name, host]));
  const fitting = new Map<string, Fitting | Misplaced>();
  const findFitting = (constraints: readonly string[]): Fitting | Misplaced => {
    const key = constraints.join("\0");
    const found = fitting.get(key) ?? filterHosts(constraints, hosts);
    fitting.set(key, found);
    return found;
  };

  return (name, where) => {
    const { host, mode, replicas, maxPerHost } = where;
    const numbers = Array.from({ length: replicas }, (_, index) => index + 1);
    if (host !== undefined) {
      if (!byName.has(host))
        return {
          word: "host",
          message: `there is no host "${host}"`,
          hint: nearestHint(host, byName.keys(), "hosts"),
        };
      if (replicas > (maxPerHost ?? Infinity)) return tooFew(where, 1);
      return numbers.map((number) => ({ host, ...numbered(number, replicas), reason: `host: ${host}` }));
    }
    const found = findFitting(where.constraints);
    if ("message" in found) return found;
    const among = `${count(found.hosts.length, "host")}${found.condition}`;
    if (mode === "global")
      return found.hosts.map(({ name: on }) => ({ host: on, reason: `global: one on each of ${among}` }));
    return placeReplicas(name, { where, found, numbers, among });
  };
}

const numbered = (number: number, replicas: number) => (replicas === 1 ? {} : { number });

function placeReplicas(
  name: string,
  { where, found, numbers, among }: { where: Where; found: Fitting; numbers: number[]; among: string },
): Placed[] | Misplaced {
  const { replicas, spreadBy, maxPerHost = Infinity } = where;
  if (replicas > found.hosts.length * maxPerHost) return tooFew(where, found.hosts.length);
  const without = spreadBy && found.hosts.find(({ labels }) => labels[spreadBy] === undefined);
  if (without)
    return {
      word: "spread",
      message: `host ${without.name} has no label "${spreadBy}" to spread by`,
      hint: "give it one, or keep it out by a constraint",
    };
  return choose(name, { numbers, found, spreadBy, maxPerHost }).map(({ number, host }) => {
    const value = spreadBy && host.labels[spreadBy];
    const reason = value ? `spread over ${spreadBy}: ${value}, ${among}` : `one of ${among}`;
    return { host: host.name, ...numbered(number, replicas), reason };
  });
}

/**
 * Each replica goes where its label's value has fewest of them, there to the host that has fewest, and
 * among equals to the one that this container's name ranks first (rendezvous hashing: hosts that come
 * or go move few).
 */
function choose(
  name: string,
  options: { numbers: number[]; found: Fitting; spreadBy: string | undefined; maxPerHost: number },
): { number: number; host: Candidate }[] {
  const { numbers, found, spreadBy, maxPerHost } = options;
  const zones = new Map<string | undefined, { count: number }>();
  const places = inRankOrder(name, { found, atMost: numbers.length }).map((host) => {
    const value = spreadBy && host.labels[spreadBy];
    const zone = zones.get(value) ?? { count: 0 };
    zones.set(value, zone);
    return { host, zone, count: 0 };
  });
  return numbers.map((number) => {
    let best: (typeof places)[number] | undefined;
    for (const one of places) {
      if (one.count >= maxPerHost) continue;
      const isBetter =
        best === undefined ||
        one.zone.count < best.zone.count ||
        (one.zone.count === best.zone.count && one.count < best.count);
      if (isBetter) best = one;
    }
    if (best === undefined) throw new Error(`${name} was found to fit, and does not`);
    best.count += 1;
    best.zone.count += 1;
    return { number, host: best.host };
  });
}

/** The hosts as a name ranks them; where one is enough, the first alone, without the price of sorting. */
function inRankOrder(
  name: string,
  { found, atMost }: { found: Fitting; atMost: number },
): readonly Candidate[] {
  const { hosts, hashes } = found;
  const nameHash = hash(name);
  const ranks = hashes.map((hostHash) => mix(nameHash ^ hostHash));
  if (atMost === 1) {
    const first = ranks.indexOf(ranks.reduce((a, b) => Math.min(a, b), Infinity));
    return hosts.slice(first, first + 1);
  }
  return hosts
    .map((host, index) => ({ host, rank: ranks[index] ?? 0 }))
    .sort((a, b) => a.rank - b.rank || (a.host.name < b.host.name ? -1 : 1))
    .map(({ host }) => host);
}

/** The hosts that fulfil all constraints, and the constraints in words: ` with group == prod`. */
type Fitting = { hosts: readonly Candidate[]; hashes: Uint32Array; condition: string };

function filterHosts(constraints: readonly string[], hosts: readonly Candidate[]): Fitting | Misplaced {
  let fitting = hosts;
  for (const [index, constraint] of constraints.entries()) {
    const [, subject = "", operator, value = ""] = /^\s*(\S+?)\s*(==|!=)\s*(.*?)\s*$/.exec(constraint) ?? [];
    const label = subject === "group" ? undefined : subject.slice("label.".length);
    const unknown = unknownIn({ label, value }, hosts);
    if (unknown !== undefined) return { word: "constraints", index, ...unknown };
    const holds = ({ groups, labels }: Candidate): boolean =>
      label === undefined ? groups.includes(value) : labels[label] === value;
    fitting = fitting.filter((host) => holds(host) === (operator === "=="));
  }
  const condition = constraints.length === 0 ? "" : ` with ${constraints.join(" and ")}`;
  if (fitting.length === 0)
    return { word: "constraints", message: `none of ${count(hosts.length, "host")} fits${condition}` };
  return { hosts: fitting, hashes: Uint32Array.from(fitting, ({ name }) => hash(name)), condition };
}

/** A group or label that no host has is a slip of the pen, not a condition. */
function unknownIn(
  { label, value }: { label: string | undefined; value: string },
  hosts: readonly Candidate[],
): Pick<Misplaced, "message" | "hint"> | undefined {
  if (label === undefined) {
    if (hosts.some(({ groups }) => groups.includes(value))) return undefined;
    const groups = [...new Set(hosts.flatMap((host) => host.groups))].sort();
    return { message: `no host is in a group "${value}"`, hint: nearestHint(value, groups, "groups") };
  }
  if (hosts.some(({ labels }) => labels[label] !== undefined)) return undefined;
  const labels = [...new Set(hosts.flatMap((host) => Object.keys(host.labels)))].sort();
  return { message: `no host has a label "${label}"`, hint: nearestHint(label, labels, "labels") };
}

function tooFew({ replicas, maxPerHost }: Where, hosts: number): Misplaced {
  return {
    word: "max_per_host",
    message: `${count(replicas, "replica")} do not fit on ${count(hosts, "host")} with max_per_host: ${maxPerHost}`,
  };
}

function count(amount: number, what: string): string {
  return `${amount} ${what}${amount === 1 ? "" : "s"}`;
}

/** FNV-1a over UTF-16 units: the same on every machine, and quick. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  return mix(value);
}

/** The finalizer of MurmurHash3: every bit of the input moves every bit of the output. */
function mix(value: number): number {
  let mixed = value;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
