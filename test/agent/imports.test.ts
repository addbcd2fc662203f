import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test from "ava";
import { execa } from "execa";

/* What is loaded is paid for at each start: a command loads what it needs. */

const root = resolve(import.meta.dirname, "../..");
/** The command line's own, with what it draws its help with. */
const commandLine =
  "ansi-regex ansi-styles cliui emoji-regex escalade get-caller-file get-east-asian-width string-width strip-ansi wrap-ansi y18n yargs yargs-parser".split(
    " ",
  );

const cases: { words: string[]; packages: string[]; needsRoot?: boolean }[] = [
  { words: ["version"], packages: [] },
  { words: ["serve", "--stdio"], packages: ["vscode-jsonrpc", "zod"] },
  ...[["list"], ["state", "none"], ["ps", "none"], ["route", "none"], ["logs", "none"]].map((words) => ({
    words,
    packages: [...commandLine, "zod"],
  })),
  // These look at libcrun, or lock.
  ...[["features"], ["doctor"], ["kill", "none"]].map((words) => ({
    words,
    packages: [...commandLine, "koffi", `@koromix/koffi-linux-${process.arch}`, "zod"],
    needsRoot: true,
  })),
];

for (const { words, packages, needsRoot } of cases)
  test(`${words[0]} loads what it needs, and no other package`, async (t) => {
    if (needsRoot === true && process.getuid?.() !== 0)
      return t.pass("needs root: libcrun is loaded into a sealed program");
    const folder = await mkdtemp(join(tmpdir(), "nexcage-imports-"));
    try {
      const native = execFileSync(join(root, "native/build"), { encoding: "utf8" }).trim();
      const { stderr } = await execa(
        join(native, "nexcage-launch"),
        [
          process.execPath,
          "--import",
          join(import.meta.dirname, "record-imports.ts"),
          join(root, "agent/main.ts"),
          ...words,
        ],
        { env: { NEXCAGE_RUN_DIR: folder, NEXCAGE_NATIVE: native }, input: "", reject: false },
      );
      const loaded: string[] = JSON.parse(stderr.split("\n").at(-1) ?? "");
      t.deepEqual(loaded, packages.toSorted());
    } finally {
      await rm(folder, { recursive: true });
    }
  });
