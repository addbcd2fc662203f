import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ociTable } from "./oci-table.ts";
import { referencePages } from "./reference/pages.ts";

/** Writes the pages under `docs/reference/`, and the table of `native/oci/`; a test holds them against what the programs know. */
const folder = join(import.meta.dirname, "../docs/reference");
mkdirSync(folder, { recursive: true });
for (const [name, page] of Object.entries(referencePages())) writeFileSync(join(folder, name), page);
writeFileSync(join(import.meta.dirname, "../native/oci/command-table.h"), ociTable());
