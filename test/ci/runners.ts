import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { parse } from "yaml";
import * as z from "zod";

/*
 * As much of GitHub's and GitLab's runners as a job of the examples needs: their files are read as they are, and their
 * steps run by bash, without a terminal. Checkouts are done, artifacts are not kept.
 */

export type Job = { exitCode: number; output: string; outputs: Record<string, string> };

const root = join(import.meta.dirname, "../..");

const Step = z.object({
  uses: z.string().optional(),
  with: z.record(z.string(), z.string()).default({}),
});
const Workflow = z.object({ jobs: z.record(z.string(), z.object({ steps: z.array(Step) })) });
const Action = z.object({
  inputs: z.record(z.string(), z.object({ default: z.string().optional() })),
  runs: z.object({
    steps: z.array(
      z.object({
        run: z.string(),
        shell: z.literal("bash"),
        env: z.record(z.string(), z.string()),
        "working-directory": z.string(),
      }),
    ),
  }),
});

/** Runs the step of a workflow's job that uses our action. */
export async function runOnGitHub(
  folder: string,
  job: string,
  { secrets, env }: { secrets: Record<string, string>; env: Record<string, string> },
): Promise<Job> {
  const workflow = Workflow.parse(
    parse(await readFile(join(folder, ".github/workflows/nexcage.yml"), "utf8")),
  );
  const step = workflow.jobs[job]?.steps.find(({ uses }) => uses?.startsWith("nexcage/nexcage@"));
  if (step === undefined) throw new Error(`the job ${job} does not use the action`);
  const action = Action.parse(parse(await readFile(join(root, "action.yml"), "utf8")));
  const defaults = Object.fromEntries(
    Object.entries(action.inputs).map(([name, { default: value = "" }]) => [name, value]),
  );
  const given = Object.fromEntries(
    Object.entries(step.with).map(([name, value]) => [name, fill(value, { secrets })]),
  );
  const inputs = { ...defaults, ...given };
  const unknown = Object.keys(given).filter((name) => !(name in defaults));
  if (unknown.length > 0) throw new Error(`the action has no input ${unknown.join(", ")}`);
  const files = { GITHUB_OUTPUT: join(folder, ".output"), GITHUB_STEP_SUMMARY: join(folder, ".summary") };
  let output = "";
  let exitCode = 0;
  for (const { run, env: own, "working-directory": where } of action.runs.steps) {
    const filled = Object.entries(own).map(([name, value]) => [name, fill(value, { inputs })]);
    const result = await bash(run, {
      folder: join(folder, fill(where, { inputs })),
      env: {
        ...env,
        ...files,
        GITHUB_ACTIONS: "true",
        GITHUB_ACTION_PATH: root,
        ...Object.fromEntries(filled),
      },
    });
    output += result.output;
    exitCode ||= result.exitCode;
  }
  const lines = (await readFile(files.GITHUB_OUTPUT, "utf8").catch(() => "")).split("\n");
  return { exitCode, output, outputs: Object.fromEntries(lines.map((line) => line.split("=", 2))) };
}

const GitLabJob = z.object({
  extends: z.string().optional(),
  variables: z.record(z.string(), z.string()).default({}),
  before_script: z.array(z.string()).default([]),
  script: z.array(z.string()).default([]),
});

/** Runs a job of a `.gitlab-ci.yml` that includes our template. */
export async function runOnGitLab(folder: string, name: string, env: Record<string, string>): Promise<Job> {
  const own: unknown = parse(await readFile(join(folder, ".gitlab-ci.yml"), "utf8"));
  const { include, variables } = z
    .object({ include: z.object({ local: z.string() }), variables: z.record(z.string(), z.string()) })
    .parse(own);
  const template = z
    .record(z.string(), z.unknown())
    .parse(parse(await readFile(join(folder, include.local), "utf8")));
  const job = GitLabJob.parse(template[name]);
  const base = GitLabJob.parse(template[job.extends ?? ""] ?? {});
  const script = [...base.before_script, ...job.before_script, ...job.script].join("\n");
  const result = await bash(`${script}\n`, {
    folder,
    env: { ...env, ...variables, ...base.variables, ...job.variables, GITLAB_CI: "true" },
  });
  return { ...result, outputs: {} };
}

async function bash(
  script: string,
  { folder, env }: { folder: string; env: Record<string, string> },
): Promise<{ exitCode: number; output: string }> {
  // The agents that scripts leave behind end with their runner; here with the shell.
  const guarded = `trap 'code=$?; [ -z "$SSH_AGENT_PID" ] || kill "$SSH_AGENT_PID"; exit $code' EXIT\n${script}`;
  const { exitCode = 1, all } = await execa("bash", ["-eo", "pipefail", "-c", guarded], {
    cwd: folder,
    env: { ...env, CI: "true" },
    extendEnv: false,
    stdin: "ignore",
    all: true,
    reject: false,
  });
  return { exitCode, output: all };
}

/** `${{ secrets.NAME }}` and its like. */
function fill(text: string, contexts: Record<string, Record<string, string>>): string {
  return text.replaceAll(/\$\{\{ ([a-z]+)\.([\w-]+) \}\}/g, (whole, context: string, name: string) => {
    const value = contexts[context]?.[name];
    if (value === undefined) throw new Error(`${whole} is not known here`);
    return value;
  });
}
