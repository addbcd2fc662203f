import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { referencePages } from "../../packaging/reference/pages.ts";
import { exitCodes } from "../../shared/errors.ts";

const folder = join(import.meta.dirname, "../../docs/reference");
const pages = referencePages();

for (const [name, page] of Object.entries(pages))
  test(`docs/reference/${name} says what the programs know (npm run reference)`, async (t) => {
    t.is(await readFile(join(folder, name), "utf8"), page);
  });

test("docs/reference has the generated pages and no other", async (t) => {
  t.deepEqual(await readdir(folder), Object.keys(pages).sort());
});

test("every error code is told with its exit status", (t) => {
  for (const [code, status] of Object.entries(exitCodes))
    t.regex(pages["errors.md"] ?? "", new RegExp(`^\\| \`${code}\` \\| .+ \\| ${status} \\| \\d+ \\|$`, "m"));
});
