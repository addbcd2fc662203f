/* Mutations of a JSON document by a seed: the same seed gives the same document. */

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A generator of numbers in [0, 1), by the seed alone (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What stands where something else is expected. */
const strangers: Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  4294967296,
  1e308,
  "",
  "x",
  "/",
  "../..",
  "\u0000",
  "é".repeat(300),
  "%s%n",
  [],
  [null],
  {},
  { path: "/none" },
];

/**
 * The document with one to four of its places changed: taken out, put twice, exchanged for something else or for another
 * part of it, or its text cut off.
 */
export function mutate(document: Json, random: () => number): string {
  let changed = structuredClone(document);
  const count = 1 + Math.floor(random() * 4);
  for (let i = 0; i < count; i++) changed = mutateOnce(changed, random);
  const text = JSON.stringify(changed);
  return random() < 0.05 ? text.slice(0, Math.floor(random() * text.length)) : text;
}

function mutateOnce(document: Json, random: () => number): Json {
  const places = placesOf(document);
  const place = pick(places, random);
  const other = pick(places, random);
  if (place === undefined) return document;
  const { parent, key } = place;
  const kind = random();
  if (Array.isArray(parent)) {
    const index = Number(key);
    if (kind < 0.3) parent.splice(index, 1);
    else if (kind < 0.5) parent.splice(index, 0, structuredClone(parent[index] ?? null));
    else parent[index] = replacement(other, random);
  } else if (kind < 0.35) Reflect.deleteProperty(parent, key);
  else if (kind < 0.45) parent[`${key}X`] = parent[key] ?? null;
  else parent[key] = replacement(other, random);
  return document;
}

function replacement(other: Place | undefined, random: () => number): Json {
  if (other !== undefined && random() < 0.3) return structuredClone(valueAt(other));
  return structuredClone(pick(strangers, random) ?? null);
}

type Place = { parent: Json[] | { [key: string]: Json }; key: string };

function valueAt({ parent, key }: Place): Json {
  return (Array.isArray(parent) ? parent[Number(key)] : parent[key]) ?? null;
}

function placesOf(document: Json): Place[] {
  if (document === null || typeof document !== "object") return [];
  return Object.entries(document).flatMap(([key, value]) => [{ parent: document, key }, ...placesOf(value)]);
}

function pick<T>(list: readonly T[], random: () => number): T | undefined {
  return list[Math.floor(random() * list.length)];
}
