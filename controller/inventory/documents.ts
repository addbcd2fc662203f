import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Scalar,
  visit,
  type YAMLMap,
} from "yaml";
import { quoteForMessage } from "../../shared/ids.ts";
import { fillEnvironment, hasEnvironmentReference } from "./interpolate.ts";
import type { Report } from "./mistakes.ts";
import type { Place } from "./model.ts";
import { type Places, placesOf, startOf } from "./places.ts";

/** One YAML document as plain data, and where in its file each part of it stands. */
export type YamlDocument = Places & {
  /** The absolute path of its file, from whose folder its own paths go. */
  path: string;
  value: unknown;
};

/**
 * The documents of a file: YAML 1.2 core, no key twice, merge keys and anchors allowed, `${NAME}` filled
 * in. A document with mistakes is reported and left out. Pure.
 */
export function parseDocuments(
  text: string,
  options: {
    /** As the user called it, for messages. */
    file: string;
    path: string;
    environment: Readonly<Record<string, string | undefined>>;
    report: Report;
  },
): YamlDocument[] {
  const { file, path, environment, report } = options;
  const lines = new LineCounter();
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const parsed = parseAllDocuments(text, {
    version: "1.2",
    merge: true,
    uniqueKeys: false, // compares each key with each (yaml 2.9): minutes for 20,000; see below
    lineCounter: lines,
    prettyErrors: false,
    logLevel: "silent",
  });
  const documents: YamlDocument[] = [];
  // With no document at all `parseAllDocuments` gives an empty list with properties of its own.
  for (const document of Array.isArray(parsed) ? parsed : []) {
    let isSound = true;
    const note = (offset: number, message: string, hint?: string): void => {
      isSound = false;
      report(placeAt(offset), message, hint);
    };
    for (const { message, pos } of [...document.errors, ...document.warnings])
      note(pos[0], wordsOf(message), isReference(text, pos[0]) ? quoteIt : undefined);
    const targets = fillIn(document, { environment, note });
    if (!isSound || document.contents === null) continue;
    const value = toPlain(document, note);
    if (isSound) documents.push({ path, value, ...placesOf(document, { targets, placeAt }) });
  }
  return documents;
}

type Note = (offset: number, message: string, hint?: string) => void;

/** Fills in `${NAME}`, refuses what no field can take, and finds what each alias stands for. */
function fillIn(
  document: Document,
  { environment, note }: { environment: Readonly<Record<string, string | undefined>>; note: Note },
): Map<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Map(_key, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      for (const key of repeatedKeys(node))
        note(startOf(key), `${quoteForMessage(String(key.value))} stands here a second time`);
    },
    Seq(_key, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
    Alias(_key, node, path) {
      const target = anchors.get(node.source);
      if (target === undefined) note(startOf(node), `there is no anchor &${node.source} before this`);
      else if (path.includes(target))
        note(startOf(node), `*${node.source} stands within &${node.source} itself`);
      else targets.set(node, target);
    },
    Pair(_key, { key, value }) {
      const sources = isSeq(value) ? value.items : [value];
      const isMapOrAlias = (source: unknown): boolean =>
        isMap(isAlias(source) ? anchors.get(source.source) : source);
      if (isMergeKey(key) && !sources.every(isMapOrAlias))
        note(startOf(value), "only maps can be merged in", "as in <<: *anchor, or <<: [*one, *two]");
      if (isCollection(key)) note(startOf(key), "a map or list cannot be a key", quoteIt);
    },
    Scalar(key, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
      if (key === "key" || typeof node.value !== "string" || !hasEnvironmentReference(node.value)) return;
      const { text, problems } = fillEnvironment(node.value, environment);
      for (const { message, hint } of problems) note(startOf(node), message, hint);
      node.value = text;
    },
  });
  return targets;
}

/** The tag of `<<` gives it a symbol for its value (yaml 2.9). */
function isMergeKey(key: unknown): boolean {
  return isScalar(key) && typeof key.value === "symbol";
}

/** Keys that say the same as one before them; a merge key may stand more than once. */
function repeatedKeys({ items }: YAMLMap): Scalar[] {
  const seen = new Set<string>();
  return items.flatMap(({ key }) => {
    if (!isScalar(key) || isMergeKey(key)) return [];
    const name = String(key.value);
    if (seen.has(name)) return [key];
    seen.add(name);
    return [];
  });
}

/** As plain data. Each alias is followed for its own: without a bound ten lines could stand for gigabytes. */
function toPlain(document: Document, note: Note): unknown {
  try {
    return document.toJS({ maxAliasCount: 1_000_000 });
  } catch (error) {
    if (!(error instanceof ReferenceError)) throw error; // what yaml throws for aliases, and for nothing else
    note(startOf(document.contents), lowerFirst(error.message));
    return undefined;
  }
}

/** Inside a flow map or list, braces without quotes are YAML's own. */
function isReference(text: string, offset: number): boolean {
  return (
    text.startsWith("${", offset - 1) || text.startsWith("{{", offset) || text.startsWith("{{", offset - 1)
  );
}

const quoteIt = `quote what is filled in: "\${NAME}", "{{ name }}"`;

/** yaml's message in our words. */
function wordsOf(message: string): string {
  return message.includes("call stack") ? "it is nested too deeply" : lowerFirst(message);
}

function lowerFirst(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
