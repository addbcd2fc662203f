import { formatDuration } from "../../shared/units.ts";
import { version } from "../../shared/version.ts";
import type { ChangeOutcome } from "../outcome.ts";
import { changing, keyOf, type PlannedChange } from "../plan/model.ts";
import { errorText } from "./lines.ts";
import { style } from "./page-style.ts";
import { fieldLines, rawLines } from "./plan-values.ts";
import { printable } from "./printable.ts";
import type { Run } from "./run.ts";
import { type Span, timeline } from "./timeline.ts";
import { escapeMarkup } from "./xml.ts";

/** What became of a container, as a word and a class of the page. */
type Fate = "kept" | "planned" | "done" | "failed" | "skipped" | "refused";

/**
 * A run as one page without outside resources, scripts or fonts: hosts with their containers, a timeline that shows who
 * waited for what, what each change was, and what failed with its last lines. Pure.
 */
export function reportPage(run: Run): string {
  const { command, fleet, startedAt, tookMs } = run;
  const title = `nexcage ${command}: ${fleet}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${escapeMarkup(title)}</title>
<style>${style}</style>
</head>
<body>
<header>
<h1>${escapeMarkup(fleet)} <small>${command}</small></h1>
${summary(run)}
<p class="quiet">${escapeMarkup(startedAt.toISOString().replace(/\.\d+Z$/, "Z"))} · took ${formatDuration(tookMs)} · nexcage ${version}</p>
</header>
<main>
${[failures(run), hosts(run), spans(run), changes(run)].filter((part) => part !== "").join("\n")}
</main>
</body>
</html>
`;
}

function fates({
  plan,
  changes,
}: Run): Map<string, { change: PlannedChange; fate: Fate; outcome?: ChangeOutcome }> {
  const outcomes = new Map(changes.map((outcome) => [keyOf(outcome.change), outcome]));
  return new Map(
    plan.changes.map((change) => {
      const outcome = outcomes.get(keyOf(change));
      const fate: Fate = outcome?.kind ?? (changing.has(change.kind) ? "planned" : "kept");
      return [keyOf(change), { change, fate, ...(outcome !== undefined && { outcome }) }];
    }),
  );
}

function summary(run: Run): string {
  const all = [...fates(run).values()].map(({ fate }): Fate => fate);
  const counts = Map.groupBy([...all, ...run.plan.refused.map((): Fate => "refused")], (fate) => fate);
  const words = [...counts].map(([fate, list]) => `<span class="chip ${fate}">${list.length} ${fate}</span>`);
  const gone = run.unreachable.size;
  if (gone > 0)
    words.push(`<span class="chip failed">${gone} ${gone === 1 ? "host" : "hosts"} not reached</span>`);
  return `<p class="sum">${words.join(" ") || "Nothing to do."}</p>`;
}

function failures({ changes, unreachable, plan }: Run): string {
  const items = [
    ...changes.flatMap((one) => (one.kind === "failed" ? [[keyOf(one.change), errorText(one.error)]] : [])),
    ...[...unreachable].map(([host, error]) => [host, errorText(error)]),
    ...plan.refused.map((one) => [keyOf(one), one.reason]),
  ];
  if (items.length === 0) return "";
  const list = items.map(
    ([what = "", text = ""]) =>
      `<article class="failure"><h3>${escapeMarkup(what)}</h3><pre>${escapeMarkup(printable(text))}</pre></article>`,
  );
  return `<section><h2>What went wrong</h2>\n${list.join("\n")}\n</section>`;
}

function hosts(run: Run): string {
  const byHost = Map.groupBy(fates(run).values(), ({ change }) => change.host);
  for (const host of run.unreachable.keys()) if (!byHost.has(host)) byHost.set(host, []);
  if (byHost.size === 0) return "";
  const rows = [...byHost]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([host, list]) => {
      const chips = list.map(({ change, fate }) => {
        const name = escapeMarkup(change.id);
        const text = fate === "kept" ? name : `<a href="#${anchor(change)}">${name}</a>`;
        return `<span class="chip ${fate}" title="${change.kind}, ${fate}">${text}</span>`;
      });
      const gone = run.unreachable.has(host) ? '<span class="chip failed">not reached</span> ' : "";
      return `<tr><th scope="row">${escapeMarkup(host)}</th><td>${gone}${chips.join(" ")}</td></tr>`;
    });
  return `<section><h2>Hosts and containers</h2>\n<table>${rows.join("\n")}</table>\n</section>`;
}

function spans({ events, tookMs, command }: Run): string {
  const all = timeline(events);
  if (all.length === 0 || command === "plan") return "";
  const percent = (ms: number): string => `${((100 * ms) / Math.max(tookMs, 1)).toFixed(2)}%`;
  const row = ({ kind, label, result, readyMs, startMs, endMs, waitedFor }: Span): string => {
    const took = formatDuration(endMs - startMs);
    const waited =
      waitedFor === undefined
        ? ""
        : `waited ${formatDuration(startMs - readyMs)} for ${escapeMarkup(waitedFor)}`;
    const wait =
      waitedFor === undefined
        ? ""
        : `<i class="wait" style="left:${percent(readyMs)};width:${percent(startMs - readyMs)}"></i>`;
    const bar = `<i class="bar ${kind} ${result}" style="left:${percent(startMs)};width:${percent(endMs - startMs)}"></i>`;
    return `<div class="span"><span class="label">${escapeMarkup(printable(label))}</span><span class="track">${wait}${bar}</span><span class="note">${took}${result === "running" ? ", not ended" : ""}${waited === "" ? "" : ` · ${waited}`}</span></div>`;
  };
  return `<section><h2>Timeline</h2>\n${all.map(row).join("\n")}\n</section>`;
}

function changes(run: Run): string {
  const items = [...fates(run).values()].filter(({ fate }) => fate !== "kept");
  if (items.length === 0) return "";
  const list = items.map(({ change, fate, outcome }) => {
    const { kind, reason, placement, place, after } = change;
    const lines = [...fieldLines(change), ...rawLines(change).map(({ key, value }) => `+ ${key}: ${value}`)];
    const facts = [
      reason,
      kind === "create" && placement,
      outcome?.kind === "skipped" && outcome.reason,
      after.length > 0 && `after ${after.join(", ")}`,
      place && `${place.file}:${place.line}`,
    ].filter((fact) => typeof fact === "string");
    const diff =
      lines.length === 0 ? "" : `<pre>${escapeMarkup(lines.map((line) => printable(line)).join("\n"))}</pre>`;
    return `<details id="${anchor(change)}"${lines.length > 0 ? " open" : ""}><summary><span class="chip ${fate}">${fate}</span> ${kind} <b>${escapeMarkup(keyOf(change))}</b></summary><p>${escapeMarkup(printable(facts.join(" · ")))}</p>${diff}</details>`;
  });
  return `<section><h2>Changes</h2>\n${list.join("\n")}\n</section>`;
}

function anchor(change: PlannedChange): string {
  return escapeMarkup(`c-${keyOf(change)}`);
}
