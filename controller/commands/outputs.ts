import { appendFileSync, closeSync, lstatSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import type { Emit } from "../events.ts";
import type { Run, Timed } from "../report/run.ts";

type OutputArguments = { [Name in "report" | "junit" | "events" | "summary"]?: string | undefined };

export type Outputs = Disposable & {
  /** Takes each event, beside whoever shows it. */
  record: Emit;
  /** Writes what is told at the end. */
  finish(run: Omit<Run, "startedAt" | "tookMs" | "events">): Promise<void>;
};

/**
 * Opens what a command writes for CI systems; that a file cannot be written is known before anything is done.
 * @throws {NexcageError} `USAGE`
 */
export async function openOutputs(argv: OutputArguments, environment: NodeJS.ProcessEnv): Promise<Outputs> {
  const summary = argv.summary ?? (environment.GITHUB_STEP_SUMMARY || undefined);
  const isOnGitHub = environment.GITHUB_ACTIONS === "true";
  for (const name of ["report", "junit"] as const) {
    const path = argv[name];
    if (path === undefined) continue;
    closeSync(open(path, name, "w"));
    // Of a command that fails before it comes to a plan, none is better than an old one.
    if (lstatSync(path).isFile()) rmSync(path);
  }
  if (summary !== undefined) closeSync(open(summary, "summary", "a"));
  const events = argv.events === undefined ? undefined : open(argv.events, "events", "w");
  const { eventJson } = await import("../report/event-json.ts");
  const startedAt = new Date();
  const startedMs = performance.now();
  const timed: Timed[] = [];
  let unwritten: NexcageError | undefined;
  return {
    record(event) {
      if (argv.report !== undefined && event.kind !== "upload.progress")
        timed.push({ atMs: performance.now() - startedMs, event });
      if (events === undefined || unwritten !== undefined || event.kind === "upload.progress") return;
      try {
        writeSync(events, `${JSON.stringify(eventJson(event, new Date()))}\n`);
      } catch (cause) {
        unwritten = asNexcageError(cause); // what is under way is worth more than who reads of it
      }
    },
    async finish(told) {
      const run: Run = { ...told, startedAt, tookMs: performance.now() - startedMs, events: timed };
      if (argv.junit !== undefined)
        writeFileSync(argv.junit, (await import("../report/junit.ts")).junitXml(run));
      if (argv.report !== undefined)
        writeFileSync(argv.report, (await import("../report/page.ts")).reportPage(run));
      if (summary !== undefined)
        appendFileSync(summary, (await import("../report/markdown.ts")).runMarkdown(run));
      if (unwritten !== undefined)
        process.stderr.write(`nexcage: --events ${argv.events}: ${unwritten.message}: it is not whole\n`);
      if (isOnGitHub) process.stderr.write((await import("../report/annotations.ts")).runAnnotations(run));
    },
    [Symbol.dispose]() {
      if (events !== undefined) closeSync(events);
    },
  };
}

function open(path: string, option: string, how: "a" | "w"): number {
  try {
    return openSync(path, how);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NexcageError("USAGE", `--${option} ${path}: ${reason}`, { cause });
  }
}
