import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type YAMLMap,
} from "yaml";
import type { Place } from "./model.ts";

/** The way to a value inside a document, as zod says it too. */
export type Path = readonly PropertyKey[];

/** Where each part of a document stands in its file. */
export type Places = {
  /** Where the word at this path stands, or else the nearest thing around it. */
  keyPlace(path: Path): Place;
  /** Where the value at this path begins, or else the nearest thing around it. */
  valuePlace(path: Path): Place;
  /** A plain value's text as the user wrote it: `1.10`, where the value is the number 1.1. */
  textAt(path: Path): string | undefined;
};

type Entry = { key: Node | null; value: Node | null };

/** Finds the places in a document that could be read; `targets` says what each alias stands for. */
export function placesOf(
  document: Document,
  { targets, placeAt }: { targets: ReadonlyMap<Alias, Node>; placeAt: (offset: number) => Place },
): Places {
  const indexes = new WeakMap<YAMLMap, Map<string, Entry>>();
  const follow = (node: Node | null): Node | null => (isAlias(node) ? (targets.get(node) ?? null) : node);

  /** Merged entries too, as `toJS` merges them: what the map says itself goes before. */
  const indexOf = (map: YAMLMap): Map<string, Entry> => {
    const known = indexes.get(map);
    if (known !== undefined) return known;
    const own = new Map<string, Entry>();
    const merged = new Map<string, Entry>();
    for (const { key, value } of map.items)
      if (isScalar(key) && typeof key.value !== "symbol")
        own.set(String(key.value), { key, value: nodeOrNull(value) });
      else
        for (const [name, entry] of entriesOf(nodeOrNull(value)))
          if (!merged.has(name)) merged.set(name, entry);
    const index = new Map([...merged, ...own]);
    indexes.set(map, index);
    return index;
  };
  const entriesOf = (value: Node | null): [string, Entry][] => {
    const source = follow(value);
    if (isMap(source)) return [...indexOf(source)];
    return isSeq(source) ? source.items.flatMap((item) => entriesOf(nodeOrNull(item))) : [];
  };
  const inside = (around: Node | null, step: PropertyKey): Entry | undefined => {
    if (isMap(around)) return indexOf(around).get(String(step));
    const item = isSeq(around) ? nodeOrNull(around.items[Number(step)]) : null;
    return item === null ? undefined : { key: item, value: item };
  };
  const entryAt = (path: Path): Entry => {
    const root = nodeOrNull(document.contents);
    let entry: Entry = { key: root, value: root };
    for (const step of path) {
      const next = inside(follow(entry.value), step);
      if (next === undefined) return { key: entry.key, value: entry.key };
      entry = next;
    }
    return entry;
  };
  return {
    keyPlace: (path) => placeAt(startOf(entryAt(path).key)),
    valuePlace(path) {
      const { key, value } = entryAt(path);
      return placeAt(startOf(value ?? key));
    },
    textAt(path) {
      const value = follow(entryAt(path).value);
      return isScalar(value) ? value.source : undefined;
    },
  };
}

/** Where a node begins, as an offset into the file. */
export function startOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0;
}

function nodeOrNull(value: unknown): Node | null {
  return isNode(value) ? value : null;
}
