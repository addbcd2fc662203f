import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { ociTable } from "../../packaging/oci-table.ts";
import { referencePages } from "../../packaging/reference/pages.ts";
import { exitCodes } from "../../shared/errors.ts";

const folder = join(import.meta.dirname, "../../docs/reference");
const pages = referencePages();

for (const [name, page] of Object.entries(pages))
  test(`docs/reference/${name} says what the programs know (npm run reference)`, async (t) => {
    t.is(await readFile(join(folder, name), "utf8"), page);
  });

test("the command line in C has the options of the one table (npm run reference)", async (t) => {
  const header = join(import.meta.dirname, "../../native/oci/command-table.h");
  t.is(await readFile(header, "utf8"), ociTable());
});

test("docs/reference has the generated pages and no other", async (t) => {
  t.deepEqual(await readdir(folder), Object.keys(pages).sort());
});

test("every error code is told with its exit status", (t) => {
  for (const [code, status] of Object.entries(exitCodes))
    t.regex(pages["errors.md"] ?? "", new RegExp(`^\\| \`${code}\` \\| .+ \\| ${status} \\| \\d+ \\|$`, "m"));
});
