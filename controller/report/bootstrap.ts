import { styleText } from "node:util";
import { formatDuration, formatSize } from "../../shared/units.ts";
import type { Bootstrapped } from "../bootstrap/bootstrap.ts";
import type { HostOutcome } from "../bootstrap/on-hosts.ts";
import { errorText } from "./lines.ts";
import { textTable } from "./table.ts";

const did: Record<Bootstrapped["change"], string> = {
  none: "unchanged",
  install: "installed",
  upgrade: "upgraded",
  rollback: "rolled back",
};
const would: Record<Bootstrapped["change"], string> = {
  none: "nothing to do",
  install: "would install",
  upgrade: "would upgrade",
  rollback: "would roll back",
};

/** What became of the agent on each host, for people. */
export function bootstrapText(
  outcomes: HostOutcome<Bootstrapped>[],
  { color, check }: { color: boolean; check: boolean },
): string {
  const paint = (format: "green" | "red", text: string): string =>
    color ? styleText(format, text, { validateStream: false }) : text;
  const rows = outcomes.map((outcome) => {
    const { host, kind, durationMs } = outcome;
    if (kind === "failed") return [host, "", "", paint("red", "failed"), "", formatDuration(durationMs)];
    const { before = "-", build, change, sentBytes } = outcome.value;
    const result = (check ? would : did)[change];
    const sent = sentBytes === 0 ? "-" : formatSize(sentBytes);
    return [
      host,
      before,
      build,
      change === "none" ? result : paint("green", result),
      sent,
      formatDuration(durationMs),
    ];
  });
  const rules = outcomes.flatMap((outcome) =>
    outcome.kind === "done" && outcome.value.sudoRule !== undefined
      ? [`${outcome.host}: wrote ${outcome.value.sudoRule}\n`]
      : [],
  );
  return [
    textTable(["HOST", "WAS", "AGENT", "RESULT", check ? "WOULD SEND" : "SENT", "TOOK"], rows),
    ...failureTexts(outcomes),
    ...rules,
  ].join("\n");
}

/** What went wrong on the hosts where something did. */
function failureTexts(outcomes: HostOutcome<unknown>[]): string[] {
  return outcomes.flatMap((outcome) =>
    outcome.kind === "failed"
      ? [`${outcome.host}: ${outcome.error.code}: ${errorText(outcome.error)}\n`]
      : [],
  );
}

/** The same for programs. */
export function bootstrapJson(outcomes: HostOutcome<Bootstrapped>[], { check }: { check: boolean }): object {
  return {
    changed: !check && outcomes.some((outcome) => outcome.kind === "done" && outcome.value.change !== "none"),
    check,
    hosts: outcomes.map((outcome) =>
      outcome.kind === "done"
        ? {
            host: outcome.host,
            result: "done",
            ...outcome.value,
            durationMs: Math.round(outcome.durationMs),
          }
        : { host: outcome.host, result: "failed", error: outcome.error },
    ),
  };
}

/** From which hosts the agent was taken, for people. */
export function unbootstrapText(
  outcomes: HostOutcome<string | undefined>[],
  { color }: { color: boolean },
): string {
  const rows = outcomes.map(({ host, durationMs, ...outcome }) => {
    const result =
      outcome.kind === "failed" ? "failed" : outcome.value === undefined ? "nothing to do" : "removed";
    const painted =
      color && outcome.kind === "failed" ? styleText("red", result, { validateStream: false }) : result;
    const was = outcome.kind === "done" ? (outcome.value ?? "-") : "";
    return [host, was, painted, formatDuration(durationMs)];
  });
  return [textTable(["HOST", "WAS", "RESULT", "TOOK"], rows), ...failureTexts(outcomes)].join("\n");
}

/** The same for programs. */
export function unbootstrapJson(outcomes: HostOutcome<string | undefined>[]): unknown {
  return {
    changed: outcomes.some((outcome) => outcome.kind === "done" && outcome.value !== undefined),
    hosts: outcomes.map((outcome) =>
      outcome.kind === "done"
        ? { host: outcome.host, result: "done", before: outcome.value }
        : { host: outcome.host, result: "failed", error: outcome.error },
    ),
  };
}
