import { appendFileSync } from "node:fs";
import { asNexcageError, type ErrorCode } from "../../shared/errors.ts";

const usageCodes: ReadonlySet<ErrorCode> = new Set(["USAGE", "INVALID_ID", "INVALID_FILE"]);

export const exitStatuses = {
  0: "done",
  1: "failed",
  2: "usage or invalid files",
  130: "interrupted",
} as const;

/** Tells an error on stderr: a line, and a line with the next thing to do; with `-o json` as JSON. Gives the exit status. */
export function reportError(thrown: unknown, args: string[]): number {
  const error = asNexcageError(thrown);
  const isJson = /(^| )(-o|--output)[ =]?json( |$)/.test(args.join(" "));
  const hint = error.hint === undefined ? "" : `hint: ${error.hint}\n`;
  const text = `nexcage-agent: ${oneLine(error.message)} [${error.code}]\n${hint}`;
  process.stderr.write(isJson ? `${JSON.stringify(error)}\n` : text);
  writeLog(oneLine(error.message), args);
  const { exitCode } = error.details ?? {};
  return error.code === "EXEC_FAILED" && typeof exitCode === "number" ? exitCode : agentExitCode(error.code);
}

/** 2 for a wrong command line or configuration, 130 for an interruption, else 1; an exec's own is not told by its code. */
export function agentExitCode(code: ErrorCode): keyof typeof exitStatuses {
  if (usageCodes.has(code)) return 2;
  return code === "INTERRUPTED" ? 130 : 1;
}

/** Where an OCI client says --log FILE it reads the error there, in the words of native/oci/report.c. */
function writeLog(msg: string, args: string[]): void {
  const log = optionOf("--log", args)?.replace(/^file:/, "");
  if (log === undefined || /^(syslog|journald):/.test(log)) return;
  const time = new Date().toISOString();
  const isJson = optionOf("--log-format", args) === "json";
  const line = isJson
    ? JSON.stringify({ msg, level: "error", time })
    : `time="${time}" level=error msg="${msg}"`;
  try {
    appendFileSync(log, `${line}\n`, { mode: 0o600 });
  } catch {
    // stderr has it
  }
}

/** `--name VALUE` or `--name=VALUE`, before a `--`. */
function optionOf(name: string, args: string[]): string | undefined {
  const end = args.indexOf("--");
  const words = end < 0 ? args : args.slice(0, end);
  const at = words.findLastIndex((word) => word === name || word.startsWith(`${name}=`));
  return words[at] === name ? words[at + 1] : words[at]?.slice(name.length + 1);
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, "; ");
}
