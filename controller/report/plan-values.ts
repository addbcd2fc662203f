import { isDeepStrictEqual } from "node:util";
import type { FieldChange } from "../../shared/costs.ts";
import { fieldOfRawKey, type RawLine, rawLinesOf } from "../../shared/raw-lines.ts";
import type { Mount, Network } from "../../shared/spec.ts";
import { formatDuration, formatSize } from "../../shared/units.ts";
import { isRecord } from "../inventory/vocabulary.ts";
import { wordOf } from "../plan/fields.ts";
import type { PlannedChange } from "../plan/model.ts";
import { printable } from "./printable.ts";

/*
 * How a field's old and new value look in a plan. Environments may hold passwords until there are
 * secrets of their own, so values whose name says so are never shown.
 */

const secretName = /pass|secret|token|credential|private|api_?key|access_?key/i;
const hidden = "[secret]";

/** A value of a spec without what its names say is secret. Pure. */
export function withoutSecrets(field: string, value: unknown): unknown {
  if (field !== "environment" || !isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, secretName.test(name) ? hidden : item]),
  );
}

/** A line for each field that changes: `resources.memory  256 MiB → 512 MiB  (hot)`, aligned. */
export function fieldLines({ fields }: PlannedChange): string[] {
  const lines = fields.flatMap(linesOf);
  const width = Math.max(0, ...lines.map(({ word }) => word.length));
  // The cost stands beside a field only where the fields of one change differ in it.
  const differ = new Set(fields.map(({ cost }) => cost)).size > 1;
  return lines.map(
    ({ word, old, new: now, cost }) => `${word.padEnd(width)}  ${old} → ${now}${differ ? `  (${cost})` : ""}`,
  );
}

/** The lines of LXC's own that a change writes into a guest's configuration; those that it leaves are not listed. */
export function rawLines({ kind, spec, fields }: PlannedChange): RawLine[] {
  if (spec?.runtime !== "lxc") return [];
  const changed = new Set(fields.map(({ field }) => field));
  return rawLinesOf(spec).flatMap(({ key, value }) => {
    const field = fieldOfRawKey(key);
    if (kind === "update" && (field === undefined || !changed.has(field))) return [];
    const [name = ""] = value.split("=");
    const isSecret = field === "environment" && secretName.test(name);
    return [{ key, value: isSecret ? `${name}=${hidden}` : printable(value) }];
  });
}

type Line = { word: string; old: string; new: string; cost: FieldChange["cost"] };

/** What has parts is compared part by part, so that one variable among twenty can be seen. */
function linesOf(field: FieldChange): Line[] {
  const { cost, old, new: now } = field;
  const word = wordOf(field);
  const [before, after] = [partsOf(field.field, old), partsOf(field.field, now)];
  const lines = [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .sort()
    .filter((name) => !isDeepStrictEqual(before[name], after[name]))
    .map((name) => {
      const value = (item: unknown): string =>
        item !== undefined && field.field === "environment" && secretName.test(name)
          ? hidden
          : partText(item);
      return { word: `${word}.${name}`, old: value(before[name]), new: value(after[name]), cost };
    });
  if (lines.length > 0) return lines;
  return [{ word, old: shown(field.field, old), new: shown(field.field, now), cost }];
}

/** A map's entries; interfaces by their names. */
function partsOf(field: FieldChange["field"], value: unknown): Record<string, unknown> {
  switch (field) {
    case "environment":
    case "labels":
    case "proxmox.features":
    case "proxmox.startup":
      return isRecord(value) ? value : {};
    case "networks":
      return Object.fromEntries(
        Array.isArray(value) ? value.map(({ name, ...rest }: Network) => [name, rest]) : [],
      );
    default:
      return {};
  }
}

/** `bridge=vmbr0,ip=dhcp`, as Proxmox writes an interface. */
function partText(value: unknown): string {
  if (!isRecord(value)) return plain(value);
  return Object.entries(value)
    .map(([word, item]) => `${word}=${plain(item)}`)
    .join(",");
}

const sizes: ReadonlySet<FieldChange["field"]> = new Set([
  "resources.memoryBytes",
  "resources.swapBytes",
  "proxmox.rootfsBytes",
]);

function shown(field: FieldChange["field"], value: unknown): string {
  if (value === undefined) return "(not set)";
  if (sizes.has(field) && typeof value === "number") return formatSize(value);
  if (field === "stopGracePeriodMs" && typeof value === "number") return formatDuration(value);
  if (field === "source" && isRecord(value))
    return typeof value.digest === "string"
      ? value.digest.slice(0, "sha256:".length + 12)
      : plain(value.volume ?? value.path);
  if (field === "proxmox.vmidRange" && Array.isArray(value)) return value.join("-");
  if (field === "networks" && Array.isArray(value))
    return `[${value.map(({ name }: Network) => name).join(", ")}]`;
  if (field === "mounts" && Array.isArray(value)) return `[${value.map(mountText).join(", ")}]`;
  if (Array.isArray(value)) return `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
  return plain(value);
}

function mountText(mount: Mount): string {
  if (mount.type !== "tmpfs") {
    const text = `${plain(mount.type === "bind" ? mount.source : mount.name)}:${plain(mount.target)}${mount.readOnly === true ? ":ro" : ""}`;
    return mount.type === "bind" ? text : `${text} (${formatSize(mount.sizeBytes)})`;
  }
  return `tmpfs:${plain(mount.target)}${mount.sizeBytes === undefined ? "" : ` (${formatSize(mount.sizeBytes)})`}`;
}

/** Text without quotes where it cannot be mistaken: control characters and empty text are escaped. */
function plain(value: unknown): string {
  if (value === undefined) return "(not set)";
  return typeof value === "string" && /^[^\s"\p{C}]+$/u.test(value) ? value : JSON.stringify(value);
}
