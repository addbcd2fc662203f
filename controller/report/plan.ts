import { styleText } from "node:util";
import { wordOf } from "../plan/fields.ts";
import {
  type ChangeKind,
  changing,
  keyOf,
  type Noted,
  type Plan,
  type PlannedChange,
} from "../plan/model.ts";
import { fieldLines, rawLines, withoutSecrets } from "./plan-values.ts";

type Color = "green" | "yellow" | "red" | "cyan" | "gray";

const signs: Record<ChangeKind, { sign: string; color: Color }> = {
  create: { sign: "+", color: "green" },
  replace: { sign: "-/+", color: "red" },
  update: { sign: "~", color: "yellow" },
  start: { sign: ">", color: "cyan" },
  stop: { sign: ".", color: "yellow" },
  restart: { sign: "~", color: "yellow" },
  pause: { sign: ".", color: "yellow" },
  resume: { sign: ">", color: "cyan" },
  delete: { sign: "-", color: "red" },
  keep: { sign: "=", color: "gray" },
};

const costWords = {
  hot: "hot",
  restart: "restart: it stops and starts again",
  recreate: "recreate: its files outside volumes are lost",
} as const;

const snapshotWords = {
  none: undefined,
  auto: "after a snapshot, where its storage can",
  required: "after a snapshot, or not at all",
} as const;

/** A plan for people: host by host what is done, why, and what it costs; then what is left alone; then the sum. */
export function planText(plan: Plan, { color }: { color: boolean }): string {
  const paint = (format: Color, text: string): string =>
    color ? styleText(format, text, { validateStream: false }) : text;
  const changes = plan.changes.filter(({ kind }) => changing.has(kind));
  const idWidth = Math.max(0, ...changes.map(({ id }) => id.length));
  const byHost = Map.groupBy(changes, ({ host }) => host);
  const sections = [...byHost].map(([host, onHost]) =>
    [host, ...onHost.flatMap((change) => changeLines(change, { idWidth, paint }))].join("\n"),
  );
  const left = [
    notes("Refused, and not touched:", plan.refused, (text) => paint("red", `! ${text}`)),
    notes(
      "Ours and not wanted any more, but kept (--prune deletes what left the fleet):",
      plan.orphans,
      (text) => paint("gray", `? ${text}`),
    ),
    plan.unreachable.length === 0
      ? ""
      : [
          "Not looked at:",
          ...plan.unreachable.map(({ host, containers }) =>
            paint(
              "yellow",
              `  ! ${host}  could not be reached (${counted(containers, "container")} wanted there)`,
            ),
          ),
        ].join("\n"),
  ];
  return `${[...sections, ...left, summary(plan)].filter((part) => part !== "").join("\n\n")}\n`;
}

function changeLines(
  change: PlannedChange,
  { idWidth, paint }: { idWidth: number; paint: (color: Color, text: string) => string },
): string[] {
  const { kind, id, reason, placement, cost, snapshot = "none", protect, lost = [] } = change;
  const { sign, color } = signs[kind];
  const why = [
    reason,
    cost && costWords[cost],
    snapshotWords[snapshot],
    lost.length > 0 && `lost with it: ${counted(lost.length, "volume")} (${lost.join(", ")})`,
    kind === "create" && placement,
    protect === true && "protected: apply will refuse it",
  ].filter((part) => typeof part === "string");
  const head = `  ${sign.padStart(3)} ${kind.padEnd(7)}  ${id.padEnd(idWidth)}  `;
  return [
    `${paint(color, head.trimEnd())}${" ".repeat(head.length - head.trimEnd().length)}${why.join(" · ")}`,
    ...templateLine(change).map((line) => `        ${line}`),
    ...fieldLines(change).map((line) => `        ${line}`),
    ...rawLines(change).map(({ key, value }) => `        + ${key}: ${value}`),
  ];
}

/** Where the fleet gives a name, the volume that it is there; or what is downloaded first. */
function templateLine({ spec, template, downloads }: PlannedChange): string[] {
  if (downloads !== undefined)
    return [`downloads template ${downloads.template} to storage ${downloads.storage} (pveam)`];
  const { source } = spec ?? {};
  if (source?.kind !== "template" || template === undefined || source.volume === template) return [];
  return [`template ${source.volume} is ${template}`];
}

function notes(title: string, noted: Noted[], line: (text: string) => string): string {
  if (noted.length === 0) return "";
  const width = Math.max(...noted.map((one) => keyOf(one).length));
  return [title, ...noted.map((one) => `  ${line(`${keyOf(one).padEnd(width)}  ${one.reason}`)}`)].join("\n");
}

/** `Plan: 2 to create, 1 to replace, 7 unchanged.` */
function summary({ changes, refused }: Plan): string {
  const count = (kind: ChangeKind): number => changes.filter((change) => change.kind === kind).length;
  const parts = [...changing].flatMap((kind) => (count(kind) > 0 ? [`${count(kind)} to ${kind}`] : []));
  const unchanged = count("keep") > 0 ? [`${count("keep")} unchanged`] : [];
  const denied = refused.length > 0 ? [`${refused.length} refused`] : [];
  if (parts.length === 0 && denied.length === 0)
    return unchanged.length === 0 ? "Nothing to do." : `Nothing to do: ${unchanged}.`;
  return `Plan: ${[...parts, ...denied, ...unchanged].join(", ")}.`;
}

function counted(amount: number, what: string): string {
  return `${amount} ${what}${amount === 1 ? "" : "s"}`;
}

/** A plan for programs. Values of the environment that look secret are left out, here as in the text. */
export function planJson(plan: Plan): unknown {
  return {
    fleet: plan.fleet,
    changes: plan.changes.map(({ fields, spec, ...change }) => ({
      ...change,
      rawLines: rawLines({ ...change, fields, spec }),
      fields: fields.map((field) => ({
        field: field.field,
        word: wordOf(field),
        old: withoutSecrets(field.field, field.old),
        new: withoutSecrets(field.field, field.new),
        cost: field.cost,
      })),
      ...(spec !== undefined && {
        spec: { ...spec, environment: withoutSecrets("environment", spec.environment) },
      }),
    })),
    refused: plan.refused,
    orphans: plan.orphans,
    unreachable: plan.unreachable,
  };
}
