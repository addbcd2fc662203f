import type { z } from "zod";
import { nearestHint } from "../../shared/nearest.ts";
import type { YamlDocument } from "./documents.ts";
import type { Mistake, Report } from "./mistakes.ts";
import type { Path } from "./places.ts";
import { shown } from "./scalars.ts";
import { type Finding, foreignWords, isRecord } from "./vocabulary.ts";

/**
 * Checks a part of a document against its schema and reports every mistake in it. Gives the parsed value
 * where its types are right, even when it has foreign words: then others can be checked with it.
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  { document, path = [], report }: { document: YamlDocument; path?: Path; report: Report },
): z.output<Schema> | undefined {
  reportForeignWords(schema, value, { document, path, report });
  return parseValue(schema, value, { document, path, report });
}

/** The first half of {@link validate}: the words that the schema does not know. */
export function reportForeignWords(
  schema: z.ZodType,
  value: unknown,
  { document, path, report }: { document: YamlDocument; path: Path; report: Report },
): void {
  for (const finding of foreignWords(schema, value, path)) {
    const mistake = mistakeOf(finding, document);
    if (mistake !== undefined) report(mistake.place, mistake.message, mistake.hint);
  }
}

/** The second half: the values. What stands at a path that `ignore` knows is let pass. */
export function parseValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  options: { document: YamlDocument; path: Path; report: Report; ignore?: (path: Path) => boolean },
): z.output<Schema> | undefined {
  const { document, path, report, ignore = () => false } = options;
  const parsed = schema.safeParse(value, { error: describeIssue });
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues.flatMap(relevantIssues)) {
    const [message = "", hint] = issue.message.split("\n");
    const at = [...path, ...issue.path];
    if (ignore(at)) continue;
    const place = issue.code === "invalid_key" ? document.keyPlace(at) : document.valuePlace(at);
    report(place, message, hint === "" ? undefined : hint);
  }
  return undefined;
}

function mistakeOf(finding: Finding, document: YamlDocument): Mistake | undefined {
  switch (finding.kind) {
    case "foreign": {
      const { path, word, known, vocabulary } = finding;
      const place = document.keyPlace(path);
      if (vocabulary.later.includes(word))
        return { place, message: `${shown(word)} is not supported in this version` };
      const hint = vocabulary.instead[word] ?? nearestHint(word, known, "its fields");
      return { place, message: `${shown(word)} is not a field of ${vocabulary.title}`, hint };
    }
    case "number as text": {
      const { path, value } = finding;
      const text = document.textAt(path);
      if (text === undefined || text === String(value)) return undefined;
      return {
        place: document.valuePlace(path),
        message: `${text} would be read as the number ${value}`,
        hint: `if it is text, quote it: "${text}"`,
      };
    }
    default:
      return finding satisfies never;
  }
}

/** zod's issues in our words; a schema that has an error of its own goes before. */
function describeIssue(issue: z.core.$ZodRawIssue): string {
  const { input } = issue;
  switch (issue.code) {
    case "invalid_type":
      if (input === undefined) return `${shown(String(issue.path?.at(-1) ?? "it"))} is missing`;
      return `${shown(input)} where ${typeNames[issue.expected] ?? issue.expected} is expected`;
    case "invalid_value":
      return `${shown(input)} is not ${issue.values.map(shown).join(" or ")}`;
    case "too_small":
      return issue.origin === "array" ? "the list is empty" : `${shown(input)} is less than ${issue.minimum}`;
    case "too_big":
      return `${shown(input)} is more than ${issue.maximum}`;
    case "invalid_key":
      return issue.issues[0]?.message ?? `${shown(input)} cannot be a key`;
    default:
      return `${shown(input)} is not valid`;
  }
}

const typeNames: Partial<Record<string, string>> = {
  object: "a map",
  record: "a map",
  array: "a list",
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
};

/**
 * Of a union, the issues of the alternative that was meant: the one whose shape the value has. Where no
 * alternative or more than one is like that, the union speaks for itself.
 */
function relevantIssues(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  const meant = issue.errors.filter(
    (errors) => errors.length > 0 && errors.every(({ path }) => path.length > 0),
  );
  const [only] = meant;
  if (meant.length === 1 && only !== undefined)
    return only.flatMap(relevantIssues).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
  return [issue];
}

/** The strings inside a value, with the way to each. */
export function* textsIn(value: unknown, path: Path = []): Generator<{ path: Path; text: string }> {
  if (typeof value === "string") yield { path, text: value };
  else if (Array.isArray(value))
    for (const [index, item] of value.entries()) yield* textsIn(item, [...path, index]);
  else if (isRecord(value))
    for (const [key, item] of Object.entries(value)) yield* textsIn(item, [...path, key]);
}
