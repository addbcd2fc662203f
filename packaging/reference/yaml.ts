import { jsonSchemaText, type SchemaName, schemaNames } from "../../controller/inventory/json-schema.ts";
import { sentence } from "../wording.ts";
import { code, plain, tableOf } from "./markdown.ts";

/** As much of JSON Schema as ours are made of. */
type Schema = {
  type?: string;
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  items?: Schema;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | false;
  $ref?: string;
  $defs?: Record<string, Schema>;
};

/** The page of all words of the YAML files. */
export function yamlPage(): string {
  const roots = schemaNames.map((name) => {
    const schema: Schema = JSON.parse(jsonSchemaText(name));
    return { name, schema };
  });
  const kinds = new Map(roots.flatMap(({ schema }) => Object.entries(schema.$defs ?? {})));
  const values = [...kinds].filter(([, { properties }]) => properties === undefined);
  return `# The words of the YAML files

What stands in brackets is the default. Words that begin with \`x-\` may stand in every map and mean nothing. \`\${NAME}\`
in a value is a variable of the environment, and \`{{ name }}\` one of the host's \`vars\`. The JSON Schemas for editors,
\`nexcage schema inventory\` and \`nexcage schema fleet\`, hold the same.
${roots.map(({ name, schema }) => rootPart(name, schema, kinds)).join("")}
## Kinds of values

${tableOf(
  ["kind", "meaning"],
  values
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { description = "" }]) => [code(name), plain(sentence(description))]),
)}
`;
}

function rootPart(name: SchemaName, schema: Schema, kinds: ReadonlyMap<string, Schema>): string {
  const maps = mapsOf(schema, kinds);
  const parts = maps.map(({ path, map, isRoot }) => {
    const words = Object.entries(wordsOf(map)).map(([word, one]) => [
      code(word),
      kindOf(one, maps, isRoot ? word : `${path}.${word}`),
      meaningOf(one, { isRequired: map.required?.includes(word) === true }),
    ]);
    return `${isRoot ? "" : `### ${code(path)}\n\n`}${tableOf(["word", "value", "meaning"], words)}\n`;
  });
  return `\n## kind: ${name === "fleet" ? "Fleet" : "Inventory"}\n\n${parts.join("\n")}`;
}

type FoundMap = { path: string; map: Schema; isRoot: boolean; ref: string | undefined };

/** Each map of known words, with the path to it; one that stands in several places is told at the first. */
function mapsOf(root: Schema, kinds: ReadonlyMap<string, Schema>): FoundMap[] {
  const found: FoundMap[] = [];
  const visit = (path: string, schema: Schema): void => {
    const { $ref } = schema;
    const inner = $ref === undefined ? schema : (kinds.get(kindName($ref)) ?? {});
    if (inner.properties !== undefined) {
      if ($ref !== undefined && found.some(({ ref }) => ref === $ref)) return;
      found.push({ path, map: inner, isRoot: path === "", ref: $ref });
    }
    for (const [word, one] of Object.entries(wordsOf(inner)))
      visit(path === "" ? word : `${path}.${word}`, one);
    if (inner.additionalProperties) visit(`${path}.NAME`, inner.additionalProperties);
    if (inner.items !== undefined) visit(`${path}[]`, inner.items);
    for (const one of inner.anyOf ?? []) visit(path, one);
  };
  visit("", root);
  return found;
}

/** Without YAML's merge key, which editors show as a word. */
function wordsOf({ properties = {} }: Schema): Record<string, Schema> {
  const { "<<": _merge, ...words } = properties;
  return words;
}

function meaningOf(schema: Schema, { isRequired }: { isRequired: boolean }): string {
  const description = plain(schema.description ?? "");
  if (schema.default !== undefined) return `${description} (${code(String(schema.default))})`;
  return isRequired ? `${description} **It must be there.**` : description;
}

/** What may stand there; at the `path` where a map is told it is not told that it is. */
function kindOf(schema: Schema, maps: FoundMap[], path?: string): string {
  const { $ref, items, additionalProperties, properties, type, minimum, maximum } = schema;
  const map = maps.find(({ ref }) => ref !== undefined && ref === $ref);
  if (map !== undefined) return map.path === path ? "map" : `map, as ${code(map.path)}`;
  if ($ref !== undefined) return kindName($ref);
  if (schema.const !== undefined) return code(String(schema.const));
  if (schema.enum !== undefined) return schema.enum.map((one) => code(String(one))).join(" or ");
  if (schema.anyOf !== undefined) {
    const values = schema.anyOf.filter((one) => !isEverywhere(one)).map((one) => kindOf(one, maps));
    const number = values.find((one) => one.startsWith("whole number")); // which may be text in quotes, too
    return number ?? [...new Set(values)].join(" or ");
  }
  if (items !== undefined) return `list of ${kindOf(items, maps)}`;
  if (additionalProperties) return `map of ${kindOf(additionalProperties, maps)}`;
  if (properties !== undefined) return "map";
  if (type === "integer") return `whole number, ${minimum} to ${maximum}`;
  return type === "string" ? "text" : (type ?? "anything");
}

const kindName = (ref: string): string => ref.replace("#/$defs/", "");

/** What stands for a variable, and an empty value: both are told once for all. */
const isEverywhere = ({ pattern, type }: Schema): boolean =>
  pattern === String.raw`\$\{|\{\{` || type === "null";
