import * as z from "zod";
import type { Path } from "./places.ts";

/** The words of one kind of map: what it is called, and which words it will know later or has in another place. */
export type Vocabulary = {
  /** With its article: `a container`. */
  title: string;
  /** Words of later versions: refused as such. */
  later: readonly string[];
  /** Words that users know from elsewhere, and what to write instead. */
  instead: Readonly<Record<string, string>>;
};

const vocabularies = z.registry<Vocabulary>();

/**
 * A map of known words. Others are found by {@link foreignWords} and not by zod, so that a file with a
 * wrong word and a wrong value shows both; `x-…` may stand everywhere. `id` names what stands in
 * several places of the JSON Schema.
 */
export function words<Shape extends z.ZodRawShape>(
  title: string,
  shape: Shape,
  { later = [], instead = {}, id }: Partial<Omit<Vocabulary, "title">> & { id?: string } = {},
) {
  const schema = id === undefined ? z.object(shape) : z.object(shape).meta({ id });
  return schema.register(vocabularies, { title, later, instead });
}

/** A map all of whose words may be left out: then `pve1:` alone says it too. */
export function mayBeEmpty<Schema extends z.ZodObject>(schema: Schema) {
  return schema.nullable().transform((value): z.output<Schema> => value ?? schema.parse({}));
}

/** Text that YAML may have read as a number: `VERSION: 1.10` must not become 1.1 in silence. */
export const verbatim = z.registry<object>();

/** What the schema's types alone do not tell. */
export type Finding =
  | { kind: "foreign"; path: Path; word: string; known: string[]; vocabulary: Vocabulary }
  | { kind: "number as text"; path: Path; value: number };

/** The words of `value` that its schema does not know, and the numbers where text is expected. Pure. */
export function foreignWords(schema: z.core.$ZodType, value: unknown, path: Path = []): Finding[] {
  if (verbatim.has(schema) && typeof value === "number") return [{ kind: "number as text", path, value }];
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable)
    return foreignWords(schema.def.innerType, value, path);
  if (schema instanceof z.ZodPipe) return foreignWords(schema.def.in, value, path);
  if (schema instanceof z.ZodUnion)
    return schema.def.options.flatMap((option: z.core.$ZodType) => foreignWords(option, value, path));
  if (schema instanceof z.ZodArray)
    return Array.isArray(value)
      ? value.flatMap((item, index) => foreignWords(schema.def.element, item, [...path, index]))
      : [];
  if (!isRecord(value)) return [];
  if (schema instanceof z.ZodRecord)
    return Object.entries(value).flatMap(([key, item]) =>
      foreignWords(schema.def.valueType, item, [...path, key]),
    );
  if (schema instanceof z.ZodObject) return foreignWordsOfMap(schema, value, path);
  return [];
}

function foreignWordsOfMap(schema: z.ZodObject, value: Record<string, unknown>, path: Path): Finding[] {
  const vocabulary = vocabularies.get(schema);
  if (vocabulary === undefined) throw new Error(`a map at ${path.join(".")} was not made by words()`);
  return Object.entries(value).flatMap(([word, item]): Finding[] => {
    const known = schema.shape[word];
    if (known !== undefined) return foreignWords(known, item, [...path, word]);
    if (word.startsWith("x-")) return [];
    return [{ kind: "foreign", path: [...path, word], word, known: Object.keys(schema.shape), vocabulary }];
  });
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
