// Values like `name=eth0,bridge=vmbr50`: PVE's property strings.
import { check, type Schema } from "./schema.ts";

export type Format = {
  /** The key that a bare word stands for: `volume` of `local:1,mp=/data`. */
  defaultKey?: string;
  required: readonly string[];
  keys: Readonly<Record<string, Schema>>;
};

export type Properties = Record<string, string>;

/** The parts of a value, or the recorded lines for what is wrong: `format error` and a line per part. */
export function parseProperties(
  format: Format,
  text: string,
  option: string,
): { properties: Properties } | { reason: string } {
  const properties: Properties = {};
  const wrong: Record<string, string> = {};
  for (const part of text.split(",").filter((piece) => piece.trim() !== "")) {
    const bare = /^([a-z][a-z0-9_-]*)=(.*)$/s.exec(part);
    const key = bare?.[1] ?? format.defaultKey;
    const value = bare?.[2] ?? part;
    if (key === undefined) return { reason: "value without key, but schema does not define a default key" };
    const schema = format.keys[key];
    if (schema === undefined) {
      wrong[key] = "property is not defined in schema and the schema does not allow additional properties";
      continue;
    }
    const checked = check(schema, value);
    if ("reason" in checked) wrong[key] = checked.reason;
    else properties[key] = checked.value;
  }
  for (const key of format.required)
    if (properties[key] === undefined && wrong[key] === undefined)
      wrong[key] = "property is missing and it is not optional";
  const lines = Object.keys(wrong)
    .sort()
    .map((key) => `${option}.${key}: ${wrong[key]}`);
  return lines.length === 0 ? { properties } : { reason: `format error\n${lines.join("\n")}` };
}

/** As pct writes it again: the bare word first, then what is required, then the rest by name. */
export function printProperties(format: Format, properties: Properties): string {
  const first = format.defaultKey;
  const rest = Object.keys(properties)
    .filter((key) => key !== first && !format.required.includes(key))
    .sort();
  const named = [...format.required.filter((key) => key !== first), ...rest].flatMap((key) =>
    properties[key] === undefined ? [] : [`${key}=${properties[key]}`],
  );
  const bare = first === undefined ? undefined : properties[first];
  return [...(bare === undefined ? [] : [bare]), ...named].join(",");
}
