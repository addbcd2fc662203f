import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { parse } from "yaml";
import * as z from "zod";

const folder = join(import.meta.dirname, "../../.github/workflows");
const signOff = join(import.meta.dirname, "../../.ci/sign-off");

/** What is held of a workflow: none has `write-all`, and each says what it may. */
const Permissions = z.record(z.string(), z.enum(["read", "write", "none"]));
const Workflow = z.object({
  permissions: Permissions,
  jobs: z.record(
    z.string(),
    z.object({
      permissions: Permissions.optional(),
      uses: z.string().optional(),
      steps: z.array(z.object({ uses: z.string().optional(), run: z.string().optional() })).optional(),
    }),
  ),
});

for (const name of readdirSync(folder))
  test(`${name} says what it may, and runs only what is pinned by its commit`, async (t) => {
    const text = await readFile(join(folder, name), "utf8");
    const workflow = Workflow.parse(parse(text));
    t.false(Object.values(workflow.permissions).includes("write"), "write is for single jobs");
    for (const { uses: called, steps = [] } of Object.values(workflow.jobs))
      for (const uses of [called, ...steps.map((step) => step.uses)]) {
        if (uses === undefined || uses.startsWith("./")) continue;
        t.regex(uses, /^[\w.-]+\/[\w.-]+(?:\/[\w./-]+)?@[0-9a-f]{40}$/);
        t.regex(text, new RegExp(`uses: ${uses} # v\\d+\\.\\d+\\.\\d+\\n`), "the version stands beside it");
      }
    // What others choose (titles, names of branches) reaches a script by its environment only.
    for (const { steps = [] } of Object.values(workflow.jobs))
      for (const { run = "" } of steps) t.notRegex(run, /\$\{\{/);
  });

test("a commit that its author has not signed off is named", async (t) => {
  const repository = await mkdtemp(join(tmpdir(), "nexcage-sign-off-"));
  t.teardown(() => rm(repository, { recursive: true }));
  const who = { name: "A. Nother", email: "a@example.org" };
  const environment = {
    GIT_AUTHOR_NAME: who.name,
    GIT_AUTHOR_EMAIL: who.email,
    GIT_COMMITTER_NAME: who.name,
    GIT_COMMITTER_EMAIL: who.email,
    GIT_CONFIG_GLOBAL: "/dev/null",
  };
  const run = (file: string, ...args: string[]) =>
    execa(file, args, { cwd: repository, env: environment, reject: false, all: true });
  const commit = (...args: string[]) => run("git", "commit", "-q", "--allow-empty", ...args);
  await run("git", "init", "-q", "-b", "main");
  await commit("-m", "before there was a rule");
  await run("git", "tag", "base");
  await commit("-s", "-m", "signed off");
  t.is((await run(signOff, "base..HEAD")).all, "");
  await commit("-m", "by another\n\nSigned-off-by: B <b@example.org>");
  await commit("-m", "not at all");
  const { exitCode, all } = await run(signOff, "base..HEAD");
  t.is(exitCode, 1);
  t.regex(
    String(all),
    /not at all \(a@example\.org\)\n.*by another.*\nto sign off: git rebase --signoff base$/,
  );
  t.notRegex(String(all), /signed off \(/);
});
