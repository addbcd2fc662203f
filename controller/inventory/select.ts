import { NexcageError } from "../../shared/errors.ts";
import { quoteForMessage } from "../../shared/ids.ts";
import { nearestHint } from "./nearest.ts";

/** A container as far as selecting goes: `name` is its key in the YAML, where a file names it. */
export type Selectable = { id: string; host: string; name?: string | undefined };

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

/**
 * The containers that selectors name: `web-1`, `web-*`, `web` (the key: all its replicas), each also with
 * `@host`. No selector selects all. Pure.
 * @throws {NexcageError} `SELECTION_EMPTY` where a selector matches nothing
 */
export function selectContainers<Container extends Selectable>(
  selectors: readonly string[],
  containers: readonly Container[],
): Container[] {
  if (selectors.length === 0) return [...containers];
  const selected = new Set<Container>();
  for (const selector of selectors) {
    const [what = "", host = "*"] = selector.split(/@(.*)/s);
    const matches = globMatcher(what);
    const matchesHost = globMatcher(host);
    const found = containers.filter(
      ({ id, name, host: on }) => (matches(id) || (name !== undefined && matches(name))) && matchesHost(on),
    );
    if (found.length === 0) throw nothing(selector, "container", hintFor({ what, host }, containers));
    for (const container of found) selected.add(container);
  }
  return containers.filter((container) => selected.has(container));
}

/** Where the container is known and only the host is wrong, the hosts that have it. */
function hintFor(
  { what, host }: { what: string; host: string },
  containers: readonly Selectable[],
): string | undefined {
  const matches = globMatcher(what);
  const elsewhere = containers.filter(({ id, name }) => matches(id) || (name !== undefined && matches(name)));
  if (elsewhere.length > 0)
    return nearestHint(host, new Set(elsewhere.map((container) => container.host)), `${what} is on`);
  return nearestHint(what, new Set(containers.flatMap(({ id, name }) => [id, name ?? id])), "there are");
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
