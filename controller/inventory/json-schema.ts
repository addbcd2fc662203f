import * as z from "zod";
import { Fleet } from "./fleet-schema.ts";
import { Inventory } from "./inventory-schema.ts";

const roots = { inventory: Inventory, fleet: Fleet } as const;

export type SchemaName = keyof typeof roots;
export const schemaNames: readonly SchemaName[] = ["inventory", "fleet"];

/** What is filled in later can stand wherever text or a number does. */
const reference = { type: "string", pattern: String.raw`\$\{|\{\{` } as const;
const scalarTypes: ReadonlySet<unknown> = new Set(["string", "number", "integer", "boolean"]);

/** The JSON Schema (draft 2020-12) of one kind of document, for editors: as strict as the program is. */
function jsonSchemaOf(name: SchemaName): Record<string, unknown> {
  const schema = z.toJSONSchema(roots[name], {
    io: "input",
    override({ jsonSchema }) {
      if (jsonSchema.type === "object" && jsonSchema.properties !== undefined) {
        jsonSchema.additionalProperties = false;
        jsonSchema.patternProperties = { "^x-": {} };
        // A merge key is YAML 1.1's, and editors show it as a property.
        jsonSchema.properties["<<"] = {};
      }
      if (scalarTypes.has(jsonSchema.type) && (jsonSchema.pattern ?? jsonSchema.enum ?? jsonSchema.minimum)) {
        const constraints: z.core.JSONSchema.BaseSchema = {};
        for (const key of ["type", "pattern", "enum", "minimum", "maximum", "exclusiveMinimum"] as const) {
          if (jsonSchema[key] === undefined) continue;
          Object.assign(constraints, { [key]: jsonSchema[key] });
          Reflect.deleteProperty(jsonSchema, key);
        }
        jsonSchema.anyOf = [constraints, reference];
      }
    },
  });
  return { title: `NexCage ${name}`, ...schema };
}

/** As it stands in a file. */
export function jsonSchemaText(name: SchemaName): string {
  return `${JSON.stringify(jsonSchemaOf(name), undefined, 2)}\n`;
}
