import { hostname } from "node:os";
import type { Level, Logger } from "pino";

/** Where the agent's parts write their log: constant text, and fields to search by. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;

export const logLevels = ["debug", "info", "warn", "error"] as const satisfies Level[];
export type LogLevel = (typeof logLevels)[number];

/** `json` is for programs, one object a line; `text` for people. */
export const logFormats = ["text", "json"] as const;
export type LogFormat = (typeof logFormats)[number];

/**
 * A log on stderr, one line each. What writes it is loaded with the first line that is to be written: most commands
 * write none, and pino takes longer to load than they run.
 */
export function openLog(level: LogLevel, format: LogFormat): Log & AsyncDisposable {
  let last: Promise<unknown> = Promise.resolve();
  let logger: Promise<Log> | undefined;
  const isWanted = (of: LogLevel): boolean => logLevels.indexOf(of) >= logLevels.indexOf(level);
  const write =
    (of: LogLevel) =>
    (...line: unknown[]): void => {
      if (!isWanted(of)) return;
      logger ??= format === "json" ? openPino(level) : openText();
      const opened = logger;
      last = last.then(async () => {
        const [fields, text] = line;
        (await opened)[of](fields, typeof text === "string" ? text : undefined);
      });
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    async [Symbol.asyncDispose]() {
      await last;
    },
  };
}

async function openText(): Promise<Log> {
  const { logLine } = await import("./log-line.ts");
  process.stderr.on("error", () => {}); // as with pino: that nobody reads it ends no operation
  const write =
    (level: LogLevel) =>
    (fields: object, text = ""): void => {
      process.stderr.write(`${logLine({ time: new Date(), level, text, fields })}\n`);
    };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

async function openPino(level: LogLevel): Promise<Logger> {
  const { pino } = await import("pino");
  // Synchronous, so that no line is lost when the process is killed.
  return pino(
    { level, base: { host: hostname(), pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  );
}
