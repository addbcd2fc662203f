import { formatDuration } from "../../shared/units.ts";
import { formatPlace } from "../inventory/mistakes.ts";
import type { Fleet, Host, Resolved, WantedSource } from "../inventory/model.ts";
import type { Setting } from "../inventory/settings.ts";
import { withoutSecrets } from "./plan-values.ts";
import { textTable } from "./table.ts";

/** That the files have no mistake, and what is in them. */
export function checkedText({ hosts, fleet }: Resolved): string {
  const of = (amount: number, what: string): string => `${amount} ${what}${amount === 1 ? "" : "s"}`;
  if (fleet === undefined) return `no mistakes: ${of(hosts.length, "host")}, no fleet\n`;
  const used = new Set(fleet.wanted.map(({ host }) => host)).size;
  const where = `${of(fleet.wanted.length, "container")} on ${used} of ${of(hosts.length, "host")}`;
  return `no mistakes: fleet ${fleet.name}, ${where}\n`;
}

/** The same for programs. */
export function checkedJson({ hosts, fleet }: Resolved): unknown {
  return { hosts: hosts.length, ...(fleet && { fleet: fleet.name, containers: fleet.wanted.length }) };
}

/** What the files come to, for people: the hosts, then what runs where and why there. */
export function inventoryText({ hosts, fleet }: Resolved): string {
  const hostTable = textTable(["HOST", "CONNECTION", "BECOME", "GROUPS", "LABELS"], hosts.map(hostRow));
  if (fleet === undefined) return hostTable;
  const containers = textTable(
    ["CONTAINER", "HOST", "SOURCE", "AFTER", "PLACEMENT"],
    fleet.wanted.map(({ id, host, spec, dependsOn, placement }) => [
      id,
      host,
      sourceText(spec.source),
      dependsOn.join(", "),
      placement,
    ]),
  );
  return `${hostTable}\nfleet ${fleet.name}\n\n${containers}`;
}

function sourceText(source: WantedSource): string {
  return `${source.kind} ${source.kind === "template" ? source.volume : source.path}`;
}

function hostRow({ name, connection, become, groups, labels }: Host): string[] {
  const labelled = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return [name, connectionText(connection), become, groups.join(", "), labelled.join(" ")];
}

function connectionText(connection: Host["connection"]): string {
  if (connection.kind === "local") return "local";
  const { address, user, port, proxyJump } = connection;
  const at = `${user === undefined ? "" : `${user}@`}${address}${port === undefined ? "" : `:${port}`}`;
  return proxyJump === undefined ? at : `${at} by ${proxyJump}`;
}

/** The same for programs. */
export function inventoryJson({ hosts, fleet }: Resolved): unknown {
  return { hosts, ...(fleet !== undefined && { fleet: { ...fleet, wanted: fleet.wanted.map(wantedJson) } }) };
}

function wantedJson({ spec, ...wanted }: Fleet["wanted"][number]): unknown {
  return { ...wanted, spec: { ...spec, environment: withoutSecrets("environment", spec.environment) } };
}

/** Each setting of a host with the level and the line that it comes from. */
export function explainText(settings: Setting[]): string {
  return textTable(
    ["SETTING", "VALUE", "FROM"],
    settings.map(({ name, value, origin }) => [name, valueText(name, value), originText(origin)]),
  );
}

function valueText(name: string, value: unknown): string {
  if (typeof value === "number" && name.endsWith("_timeout")) return formatDuration(value);
  return Array.isArray(value) ? value.join(", ") : String(value);
}

function originText(origin: Setting["origin"]): string {
  switch (origin.level) {
    case "built-in":
      return "built in";
    case "defaults":
      return `defaults, ${formatPlace(origin.place)}`;
    default:
      return `${origin.level} ${origin.name}, ${formatPlace(origin.place)}`;
  }
}
