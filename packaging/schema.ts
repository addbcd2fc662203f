import { mkdir, writeFile } from "node:fs/promises";
import { jsonSchemaText, schemaNames } from "../controller/inventory/json-schema.ts";

/** Writes the JSON Schemas of the YAML files from the schemas that the program itself parses with. */
const folder = new URL("../inventory/schema/", import.meta.url);
await mkdir(folder, { recursive: true });
for (const name of schemaNames) await writeFile(new URL(`${name}.v1.json`, folder), jsonSchemaText(name));
