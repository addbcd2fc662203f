import { resolve } from "node:path";
import { NexcageError } from "../../shared/errors.ts";
import { quoteForMessage } from "../../shared/ids.ts";
import { parseDuration } from "../../shared/units.ts";
import type { ComposeOptions } from "../compose.ts";
import { type Config, loadConfig } from "../config.ts";
import { type LogFormat, logFormats, logLevels, openLog } from "../log.ts";
import { agentPaths, type Paths } from "../paths.ts";
import type { Runtime } from "../runtime.ts";
import type { Globals as CommandGlobals } from "./command.ts";
import type { Globals } from "./serve-arguments.ts";

/** A runtime for one command, and the signal of a Ctrl-C. */
export type Opened = AsyncDisposable & {
  runtime: Runtime;
  paths: Paths;
  config: Config | undefined;
  signal: AbortSignal;
};

const defaultLockTimeout = "60s";

/** @throws {NexcageError} `USAGE` */
export function composeOptions(
  globals: Globals,
  { config, logFormat }: { config: Config | undefined; logFormat: LogFormat },
): ComposeOptions & { log: ReturnType<typeof openLog> } {
  return {
    paths: agentPaths(process.env, globals.root && resolve(globals.root)),
    log: openLog(
      parseChoice("--log-level", globals.logLevel ?? config?.logLevel ?? "warn", logLevels),
      parseChoice("--log-format", globals.logFormat ?? logFormat, logFormats),
    ),
    lockTimeoutMs: parseLockTimeout(globals.lockTimeout ?? defaultLockTimeout),
    script: process.argv[1] ?? "",
    environment: process.env,
  };
}

export async function openAgent(globals: CommandGlobals): Promise<Opened> {
  const { composeRuntime } = await import("../compose.ts");
  const config = await loadConfig(globals.config);
  // Where errors on stderr are JSON, the log beside them is too.
  const logFormat = globals.output === "json" ? "json" : "text";
  const options = composeOptions(globals, { config, logFormat });
  // Only who names the file is told: it says the same on every run.
  if (globals.config !== undefined && config !== undefined && config.ignored.length > 0)
    options.log.warn(
      { file: config.file, fields: config.ignored },
      "these fields of 0.7 change nothing here",
    );
  const signal = interrupted();
  const runtime = await composeRuntime(options, { signal });
  return {
    runtime,
    paths: options.paths,
    config,
    signal,
    async [Symbol.asyncDispose]() {
      await runtime[Symbol.asyncDispose]();
      await options.log[Symbol.asyncDispose]();
    },
  };
}

/** Aborted when this process is asked to end: by Ctrl-C, by its terminal, or by who stops services. */
export function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(name, () => controller.abort(new NexcageError("INTERRUPTED", `interrupted by ${name}`)));
  return controller.signal;
}

function parseChoice<T extends string>(option: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((one) => one === text);
  if (choice !== undefined) return choice;
  throw new NexcageError("USAGE", `${option} cannot be ${quoteForMessage(text)}`, {
    hint: `one of ${choices.join(", ")}`,
  });
}

function parseLockTimeout(text: string): number {
  const timeoutMs = parseDuration(text);
  if (timeoutMs !== undefined) return timeoutMs;
  throw new NexcageError("USAGE", `--lock-timeout ${quoteForMessage(text)} is not a duration`, {
    hint: "such as 30s or 2m",
  });
}
