import { formatDuration } from "../../shared/units.ts";
import { changing, keyOf } from "../plan/model.ts";
import { errorText } from "./lines.ts";
import { planText } from "./plan.ts";
import { printable } from "./printable.ts";
import type { Run } from "./run.ts";

/** A run as Markdown, for the summary of a CI job or a comment on a merge request. Pure. */
export function runMarkdown(run: Run): string {
  const { command, fleet, tookMs, plan, changes, unreachable } = run;
  const planned = plan.changes.filter(({ kind }) => changing.has(kind));
  const failed = changes.filter((one) => one.kind === "failed");
  const skipped = changes.filter((one) => one.kind === "skipped").length;
  const title =
    command === "plan"
      ? planned.length === 0
        ? "nothing to do"
        : `${planned.length} to change`
      : `${changes.length - failed.length - skipped} done${failed.length > 0 ? `, ${failed.length} failed` : ""}${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  const parts = [
    `### nexcage ${command}: ${fleet}: ${title}`,
    table(run),
    ...failed.map(({ change, ...one }) =>
      "error" in one ? problem(`${keyOf(change)} failed`, errorText(one.error)) : "",
    ),
    ...[...unreachable].map(([host, error]) => problem(`${host} was not reached`, errorText(error))),
    planned.length + plan.refused.length === 0
      ? ""
      : `<details><summary>The plan</summary>\n\n${fenced(planText(plan, { color: false }).trimEnd())}\n\n</details>`,
    `<sub>took ${formatDuration(tookMs)}</sub>`,
  ];
  return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function table({ plan, changes }: Run): string {
  const outcomes = new Map(changes.map((outcome) => [keyOf(outcome.change), outcome]));
  const rows = plan.changes
    .filter(({ kind }) => changing.has(kind))
    .map((change) => {
      const outcome = outcomes.get(keyOf(change));
      const took =
        outcome === undefined || outcome.kind === "skipped" ? "" : formatDuration(outcome.durationMs);
      return [change.id, change.host, change.kind, outcome?.kind ?? "planned", change.reason, took];
    });
  const refused = plan.refused.map(({ id, host, reason }) => [id, host, "", "refused", reason, ""]);
  const all = [...rows, ...refused];
  if (all.length === 0) return "";
  const head = ["container", "host", "change", "result", "why", "took"];
  return [head, head.map(() => "---"), ...all]
    .map((cells) => `| ${cells.map(cell).join(" | ")} |`)
    .join("\n");
}

function cell(text: string): string {
  return printable(text).replaceAll("\n", " ").replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function problem(title: string, text: string): string {
  return `**${cell(title)}**\n\n${fenced(text)}`;
}

/** A fence that what is in it cannot close. */
function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}
