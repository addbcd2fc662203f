import { NexcageError } from "../../shared/errors.ts";
import { quoteForMessage } from "../../shared/ids.ts";
import { nearestHint } from "../../shared/nearest.ts";
import type { Host, Resolved, Wanted } from "./model.ts";

/** What a command works on. */
export type Selection = {
  /** The hosts to look at. */
  hosts: Host[];
  /** What is wanted of what is selected. */
  wanted: Wanted[];
  /** All that the fleet wants, selected or not: what is wanted elsewhere has not left the fleet. */
  fleetWide: readonly Wanted[];
  /** Whether what is on a host is selected, also when no file names it any more. */
  matches(container: { host: string; id: string }): boolean;
  /** @throws {NexcageError} `SELECTION_EMPTY` where a selector matches none of what is there */
  requireEach(there: readonly { host: string; id: string }[]): void;
};

export type SelectOptions = {
  /** Hosts and groups, see {@link selectHosts}. */
  limit?: string | undefined;
  /** `web-1`, `web-*`, `web` (the key: all its replicas), each also with `@host`; none: all. */
  containers: readonly string[];
  /** Selectors may mean what no file names any more, as for `logs` and `delete`. */
  mayHaveLeft?: boolean | undefined;
};

/**
 * What `--limit` and the selectors of containers select. Pure.
 * @throws {NexcageError} `SELECTION_EMPTY` where a part of it matches nothing, `USAGE` where it is no pattern
 */
export function select({ hosts, fleet }: Resolved, options: SelectOptions): Selection {
  const { limit, containers, mayHaveLeft = false } = options;
  const within = limit === undefined ? new Set(hosts.map(({ name }) => name)) : selectHosts(limit, hosts);
  const fleetWide = fleet?.wanted ?? [];
  const selectors = containers.map((text) => parseSelector(text));
  const isSelected = (container: Named): boolean =>
    within.has(container.host) &&
    (selectors.length === 0 || selectors.some((selector) => selector.matches(container)));
  if (!mayHaveLeft) for (const selector of selectors) requireMatch(selector, { fleetWide, within });

  const names = new Map(fleetWide.map(({ id, name }) => [String(id), name]));
  // What no file names any more may have been a replica of the key that is meant.
  const named = ({ host, id }: { host: string; id: string }): Named => ({
    host,
    id,
    name: names.get(id) ?? id.replace(/-\d+$/, ""),
  });
  return {
    hosts: hosts.filter(
      ({ name }) =>
        within.has(name) &&
        (selectors.length === 0 || selectors.some(({ matchesHost }) => matchesHost(name))),
    ),
    wanted: fleetWide.filter(isSelected),
    fleetWide,
    matches: (container) => isSelected(named(container)),
    requireEach(there) {
      const found = there.map(named).filter(isSelected);
      const missed = selectors.find((selector) => !found.some(selector.matches));
      if (missed !== undefined)
        throw nothing(missed.text, "container that is there", "what is there: nexcage fleet status");
    },
  };
}

type Named = { host: string; id: string; name: string };

type Selector = {
  text: string;
  /** The part before `@`. */
  what: string;
  matchesHost(host: string): boolean;
  matches(container: Named): boolean;
};

function parseSelector(text: string): Selector {
  const [what = "", host = "*"] = text.split(/@(.*)/s);
  const matchesWhat = globMatcher(what);
  const matchesHost = globMatcher(host);
  return {
    text,
    what,
    matchesHost,
    matches: (one) => (matchesWhat(one.id) || matchesWhat(one.name)) && matchesHost(one.host),
  };
}

function requireMatch(
  selector: Selector,
  { fleetWide, within }: { fleetWide: readonly Wanted[]; within: ReadonlySet<string> },
): void {
  if (fleetWide.some((one) => within.has(one.host) && selector.matches(one))) return;
  const { matches } = parseSelector(selector.what);
  const elsewhere = new Set(fleetWide.filter(matches).map(({ host }) => host));
  const known = new Set(fleetWide.flatMap(({ id, name }) => [id, name]));
  const hint =
    elsewhere.size > 0
      ? `${selector.what} is on ${[...elsewhere].slice(0, 5).join(", ")}`
      : nearestHint(selector.what, known, "there are");
  throw nothing(selector.text, "container", hint);
}

/**
 * The hosts that an Ansible-like pattern selects: names and groups, `all`, with `*`, `?` and `[abc]`;
 * separated by `,` or `:`. First all are taken together, then `&x` keeps only those that x has too, and
 * `!x` takes x away; without any other term these begin with all hosts. Pure.
 * @throws {NexcageError} `SELECTION_EMPTY` where a term or the whole matches nothing
 */
export function selectHosts(
  pattern: string,
  hosts: readonly { name: string; groups: readonly string[] }[],
): Set<string> {
  const terms = pattern
    .split(/[,:]/)
    .map((term) => term.trim())
    .filter((term) => term !== "");
  const matching = (term: string): Set<string> => {
    const matches = globMatcher(term);
    const found = hosts.filter(
      ({ name, groups }) => term === "all" || matches(name) || groups.some((group) => matches(group)),
    );
    if (found.length > 0) return new Set(found.map(({ name }) => name));
    const known = new Set(hosts.flatMap(({ name, groups }) => [name, ...groups]));
    throw nothing(term, "host or group", nearestHint(term, known, "there are"));
  };
  const added = terms.filter((term) => !/^[!&]/.test(term));
  const kept = terms.filter((term) => term.startsWith("&")).map((term) => matching(term.slice(1)));
  const removed = terms.filter((term) => term.startsWith("!")).map((term) => matching(term.slice(1)));
  const start = (added.length > 0 ? added : ["all"]).flatMap((term) => [...matching(term)]);
  const selected = start.filter(
    (name) => kept.every((set) => set.has(name)) && !removed.some((set) => set.has(name)),
  );
  if (selected.length === 0) throw nothing(pattern, "host");
  return new Set(selected);
}

function nothing(term: string, what: string, hint?: string): NexcageError {
  return new NexcageError("SELECTION_EMPTY", `${quoteForMessage(term)} matches no ${what}`, { hint });
}

/** `*` any text, `?` one letter, `[a-c]` one of these, `[!a-c]` none of them; all else itself. */
function globMatcher(glob: string): (text: string) => boolean {
  const source = glob.replace(/\[[^\]]+\]|[\s\S]/g, (part) => {
    if (part === "*") return ".*";
    if (part === "?") return ".";
    if (part.length > 1) return `[${part.slice(1, -1).replace(/^!/, "^").replace(/\\/g, "\\\\")}]`;
    return part.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  });
  try {
    const pattern = new RegExp(`^${source}$`, "s");
    return (text) => pattern.test(text);
  } catch (cause) {
    throw new NexcageError("USAGE", `${quoteForMessage(glob)} is not a pattern`, {
      hint: "as in web-*, web-?, web-[1-3]",
      cause,
    });
  }
}
