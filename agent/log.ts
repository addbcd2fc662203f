import { hostname } from "node:os";
import type { Level, Logger } from "pino";

/** Where the agent's parts write their log: constant text, and fields to search by. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;

export const logLevels = ["debug", "info", "warn", "error"] as const satisfies Level[];
export type LogLevel = (typeof logLevels)[number];

/**
 * A log on stderr, one JSON object a line. pino is loaded with the first line that is to be written:
 * most commands write none, and it takes longer to load than they run.
 */
export function openLog(level: LogLevel): Log & AsyncDisposable {
  let last: Promise<unknown> = Promise.resolve();
  let logger: Promise<Logger> | undefined;
  const isWanted = (of: LogLevel): boolean => logLevels.indexOf(of) >= logLevels.indexOf(level);
  const write =
    (of: LogLevel) =>
    (...line: unknown[]): void => {
      if (!isWanted(of)) return;
      logger ??= openPino(level);
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

async function openPino(level: LogLevel): Promise<Logger> {
  const { pino } = await import("pino");
  // Synchronous, so that no line is lost when the process is killed.
  return pino(
    { level, base: { host: hostname(), pid: process.pid } },
    pino.destination({ fd: 2, sync: true }),
  );
}
