import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { runCommand } from "../../agent/commands/command-line.ts";
import { runCommandLine } from "../../controller/commands/command-line.ts";
import type { NexcageError } from "../../shared/errors.ts";

const mistakes: [words: string[], message: RegExp][] = [
  [["fleet", "plan", "-o", "xml"], /^invalid values: Argument: output, Given: "xml"/],
  [["fleet", "plan", "--forks", "0"], /^--forks wants a whole number from 1 on$/],
  [["fleet", "plan", "--forks", "many"], /^--forks wants a whole number from 1 on$/],
  [["fleet", "plan", "--bogus"], /bogus/],
  [["fleet", "plan", "--no-such"], /^unknown argument: no-such$/],
  [["fleet"], /^fleet needs a command$/],
  [["flet", "plan"], /^nexcage has no command "flet"$/],
  [["fleet", "plam"], /^nexcage fleet has no command "plam"$/],
  [["fleet", "xyzzy"], /^nexcage fleet has no command "xyzzy"$/],
];
for (const [words, message] of mistakes)
  test(`nexcage ${words.join(" ")} is a mistake of usage, told in one line`, async (t) => {
    const error = await t.throwsAsync(runCommandLine(words), { code: "USAGE", message });
    t.notRegex(error.message, /\n/);
  });

test("a word that is no command comes with the command that was meant, or with all that there are", async (t) => {
  const meant = await t.throwsAsync<NexcageError>(runCommandLine(["fleet", "plam"]));
  t.is(meant.hint, 'did you mean "plan"?');
  const none = await t.throwsAsync<NexcageError>(runCommandLine(["fleet", "xyzzy"]));
  t.regex(none.hint ?? "", /^commands: plan, apply, status, /);
});

test("so is a wrong value of the agent's, with what may stand there", async (t) => {
  await t.throwsAsync(runCommand(["list", "-f", "xml"]), {
    code: "USAGE",
    message: /^Invalid values: Argument: format, Given: "xml", Choices: "table", "json"$/,
  });
});

test("logs takes -f for --follow, and elsewhere -f FILE takes one file: the selector after it is none", async (t) => {
  for (const words of [
    ["fleet", "logs", "-f", "web"],
    ["fleet", "plan", "-f", "no-such.yaml", "web"],
  ])
    await t.throwsAsync(runCommandLine(words), { code: "INVALID_FILE", message: /does not exist/ });
});

test("no module of Node's is imported by a call: in a bundle that is experimental, and Node says so on stderr", async (t) => {
  const root = join(import.meta.dirname, "../..");
  for (const folder of ["agent", "controller", "shared"])
    for (const entry of await readdir(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(".ts")) continue;
      const file = join(entry.parentPath, entry.name);
      t.false((await readFile(file, "utf8")).includes('import("node:'), file);
    }
});
