import { appendFileSync, closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { NexcageError } from "../../shared/errors.ts";
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
    closeSync(open(path, name));
    rmSync(path); // of a command that fails before it comes to a plan, none is better than an old one
  }
  const events = argv.events === undefined ? undefined : open(argv.events, "events");
  const { eventJson } = await import("../report/event-json.ts");
  const startedAt = new Date();
  const startedMs = performance.now();
  const timed: Timed[] = [];
  return {
    record(event) {
      if (argv.report !== undefined && event.kind !== "upload.progress")
        timed.push({ atMs: performance.now() - startedMs, event });
      if (events !== undefined && event.kind !== "upload.progress")
        writeSync(events, `${JSON.stringify(eventJson(event, new Date()))}\n`);
    },
    async finish(told) {
      const run: Run = { ...told, startedAt, tookMs: performance.now() - startedMs, events: timed };
      if (argv.junit !== undefined)
        writeFileSync(argv.junit, (await import("../report/junit.ts")).junitXml(run));
      if (argv.report !== undefined)
        writeFileSync(argv.report, (await import("../report/page.ts")).reportPage(run));
      if (summary !== undefined)
        appendFileSync(summary, (await import("../report/markdown.ts")).runMarkdown(run));
      if (isOnGitHub) process.stderr.write((await import("../report/annotations.ts")).runAnnotations(run));
    },
    [Symbol.dispose]() {
      if (events !== undefined) closeSync(events);
    },
  };
}

function open(path: string, option: string): number {
  try {
    return openSync(path, "w");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NexcageError("USAGE", `--${option} ${path}: ${reason}`, { cause });
  }
}
