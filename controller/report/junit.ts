import type { NexcageError } from "../../shared/errors.ts";
import type { ChangeOutcome } from "../outcome.ts";
import { keyOf, type PlannedChange, type Refused } from "../plan/model.ts";
import { errorText } from "./lines.ts";
import type { Run } from "./run.ts";
import { escapeMarkup } from "./xml.ts";

type Case = {
  host: string;
  name: string;
  seconds: number;
  inner: string;
  kind: "passed" | "failed" | "skipped";
};

/**
 * A run as JUnit's XML, which CI systems show: a suite a host, a case a container; what is left as it is passes. A
 * change that a plan finds passes too, and its reason is its output. Pure.
 */
export function junitXml({ fleet, tookMs, startedAt, plan, changes, unreachable }: Run): string {
  const outcomes = new Map(changes.map((outcome) => [keyOf(outcome.change), outcome]));
  const cases = [
    ...plan.changes.map((change) => caseOf(change, outcomes.get(keyOf(change)))),
    ...plan.refused.map(refusedCase),
    ...[...unreachable].map(([host, error]) => hostCase(host, error)),
  ];
  const suites = [...Map.groupBy(cases, ({ host }) => host)].sort(([a], [b]) => (a < b ? -1 : 1));
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="${escapeMarkup(fleet)}" ${counts(cases)} time="${seconds(tookMs)}">
${suites
  .map(
    ([host, inHost]) =>
      `  <testsuite name="${escapeMarkup(host)}" ${counts(inHost)} timestamp="${startedAt.toISOString()}">\n${inHost.map(caseXml).join("\n")}\n  </testsuite>`,
  )
  .join("\n")}
</testsuites>
`;
}

function caseOf(change: PlannedChange, outcome: ChangeOutcome | undefined): Case {
  const { host, id, kind, reason } = change;
  const durationMs = outcome === undefined || outcome.kind === "skipped" ? 0 : outcome.durationMs;
  const about = { host, name: id, seconds: durationMs / 1_000 };
  if (outcome?.kind === "failed") return { ...about, kind: "failed", inner: failure(outcome.error) };
  if (outcome?.kind === "skipped")
    return { ...about, kind: "skipped", inner: `<skipped message="${escapeMarkup(outcome.reason)}"/>` };
  const said = kind === "keep" ? "" : `<system-out>${escapeMarkup(`${kind}: ${reason}`)}</system-out>`;
  return { ...about, kind: "passed", inner: said };
}

function refusedCase({ host, id, reason }: Refused): Case {
  const inner = `<failure type="REFUSED" message="${escapeMarkup(reason)}"/>`;
  return { host, name: id, seconds: 0, kind: "failed", inner };
}

function hostCase(host: string, error: NexcageError): Case {
  return { host, name: "(host)", seconds: 0, kind: "failed", inner: failure(error) };
}

function failure(error: NexcageError): string {
  const text = escapeMarkup(errorText(error));
  return `<failure type="${error.code}" message="${escapeMarkup(error.message)}">${text}</failure>`;
}

function caseXml({ host, name, seconds: took, inner }: Case): string {
  const head = `    <testcase classname="${escapeMarkup(host)}" name="${escapeMarkup(name)}" time="${took.toFixed(3)}"`;
  return inner === "" ? `${head}/>` : `${head}>${inner}</testcase>`;
}

function counts(cases: Case[]): string {
  const of = (kind: Case["kind"]): number => cases.filter((one) => one.kind === kind).length;
  return `tests="${cases.length}" failures="${of("failed")}" skipped="${of("skipped")}" errors="0"`;
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(3);
}
