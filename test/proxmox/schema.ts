// How pct checks one option's value: PVE's JSON schema, as far as these programs use it.
export type Schema =
  | { type: "integer" | "number"; minimum?: number; maximum?: number; format?: FormatCheck }
  | { type: "boolean" }
  | {
      type: "string";
      enum?: readonly string[];
      pattern?: RegExp;
      maxLength?: number;
      minLength?: number;
      format?: FormatCheck;
    };

/** What is wrong with the value of this option, after "invalid format - ". */
export type FormatCheck = (value: string, option: string) => string | undefined;

export type Checked = { value: string } | { reason: string };

/** A value as it is written afterwards (`yes` → `1`), or the recorded words for what is wrong with it. */
export function check(schema: Schema, value: string, option = ""): Checked {
  switch (schema.type) {
    case "boolean":
      if (/^(1|on|yes|true)$/i.test(value)) return { value: "1" };
      if (/^(0|off|no|false)$/i.test(value)) return { value: "0" };
      return { reason: `type check ('boolean') failed - got '${value}'` };
    case "integer":
    case "number": {
      const pattern = schema.type === "integer" ? /^[+-]?\d+$/ : /^[+-]?(\d+\.?\d*|\.\d+)$/;
      if (!pattern.test(value)) return { reason: `type check ('${schema.type}') failed - got '${value}'` };
      const wrong = schema.format?.(value, option);
      if (wrong !== undefined) return { reason: `invalid format - ${wrong}` };
      const { minimum, maximum } = schema;
      if (minimum !== undefined && Number(value) < minimum)
        return { reason: `value must have a minimum value of ${minimum}` };
      if (maximum !== undefined && Number(value) > maximum)
        return { reason: `value must have a maximum value of ${maximum}` };
      return { value };
    }
    case "string":
      return checkString(schema, value, option);
    default:
      return schema satisfies never;
  }
}

function checkString(schema: Extract<Schema, { type: "string" }>, value: string, option: string): Checked {
  const wrong = schema.format?.(value, option);
  if (wrong !== undefined) return { reason: `invalid format - ${wrong}` };
  if (schema.pattern !== undefined && !schema.pattern.test(value))
    return { reason: "value does not match the regex pattern" };
  if (schema.enum !== undefined && !schema.enum.includes(value))
    return {
      reason: `value '${value}' does not have a value in the enumeration '${schema.enum.join(", ")}'`,
    };
  if (schema.maxLength !== undefined && value.length > schema.maxLength)
    return { reason: `value may only be ${schema.maxLength} characters long` };
  if (schema.minLength !== undefined && value.length < schema.minLength)
    return { reason: `value must be at least ${schema.minLength} characters long` };
  return { value };
}
