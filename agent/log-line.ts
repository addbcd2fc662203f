import { NexcageError } from "../shared/errors.ts";
import type { LogLevel } from "./log.ts";

export type LogEntry = { time: Date; level: LogLevel; text: string; fields: object };

/** `TIME LEVEL text field=value …`, for people: one line whatever the values hold. Pure. */
export function logLine({ time, level, text, fields }: LogEntry): string {
  const pairs = Object.entries(fields).flatMap(([name, value]) => {
    const shown = shownValue(value);
    return shown === undefined ? [] : [`${name}=${shown}`];
  });
  return [time.toISOString(), level.toUpperCase().padEnd(5), text, ...pairs]
    .join(" ")
    .replaceAll(/\p{Cc}/gu, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** As it is where it is one plain word, else as JSON; undefined where JSON has nothing for it either. */
function shownValue(value: unknown): string | undefined {
  const said = value instanceof Error ? errorWords(value) : value;
  return typeof said === "string" && /^[^\s"=\p{Cc}]+$/u.test(said) ? said : JSON.stringify(said);
}

function errorWords(error: Error): string {
  return error instanceof NexcageError ? `${error.message} [${error.code}]` : error.message;
}
