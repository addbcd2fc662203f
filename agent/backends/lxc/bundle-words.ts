import * as z from "zod";
import { capabilities } from "../../../shared/capabilities.ts";
import { NexcageError } from "../../../shared/errors.ts";
import type { RawLine } from "../../../shared/raw-lines.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import { type BundleFacts, mountWords } from "./bundle-mounts.ts";

/*
 * The mapping of an OCI bundle's config.json to a Proxmox container, one row for each field: what it is in a
 * spec, whose mapping is options.ts, mount-points.ts and shared/raw-lines.ts; or a line of LXC's, where a spec
 * has no word for it. What has no row is refused by its name.
 */

/** What a bundle says of its container. */
export type BundleWords = {
  fields: Partial<ContainerSpec>;
  lines: RawLine[];
  /** The fields that Proxmox has something of its own in place of. */
  replaced: string[];
};

type Part = { fields?: Partial<ContainerSpec>; lines?: RawLine[]; isReplaced?: true };
type Take = (value: unknown, facts: BundleFacts) => Part;

/** `take` may say why it cannot be, by a string. */
function row<T>(schema: z.ZodType<T>, take: (value: T, facts: BundleFacts) => Part | string): Take {
  return (value, facts) => {
    const parsed = schema.safeParse(isRecord(value) ? withoutNothing(value) : value);
    if (!parsed.success)
      throw new Refusal(
        z
          .prettifyError(parsed.error)
          .replaceAll(/✖ |\n\s*/g, " ")
          .trim(),
      );
    const part = take(parsed.data, facts);
    if (typeof part === "string") throw new Refusal(part);
    return part;
  };
}

/** It says nothing about a container of Proxmox's, which has it as it is or needs it not. */
const asItIs: Take = () => ({});
/** Proxmox has its own, which does the same. */
const replaced: Take = () => ({ isReplaced: true });

class Refusal extends Error {}

const mebibyte = 1024 ** 2;
const noRlimit = 2 ** 63;
const Id = z.int().nonnegative();

const table: Readonly<Record<string, Take>> = {
  ociVersion: asItIs,
  annotations: asItIs,
  hostname: row(z.string(), (hostname) => ({ fields: { hostname } })),
  "root.path": asItIs,
  "root.readonly": row(z.boolean(), (readOnly) => ({ fields: { readOnly } })),
  mounts: row(z.array(z.unknown()), mountWords),
  "process.terminal": asItIs,
  "process.consoleSize": asItIs,
  "process.args": row(z.array(z.string()).min(1), (command) => ({ fields: { command } })),
  "process.env": row(z.array(z.string()), (variables) => ({
    fields: { environment: Object.fromEntries(variables.map(splitVariable)) },
  })),
  "process.cwd": row(z.string(), (cwd) => (cwd === "/" ? {} : { fields: { workingDir: cwd } })),
  "process.user": row(
    z.strictObject({
      uid: Id.default(0),
      gid: Id.default(0),
      additionalGids: z.array(Id).default([]),
      umask: z.literal(0o022).optional(),
    }),
    ({ uid, gid, additionalGids }) => ({
      ...((uid > 0 || gid > 0 || additionalGids.length > 0) && { fields: { user: `${uid}:${gid}` } }),
      ...(additionalGids.length > 0 && {
        lines: [{ key: "lxc.init.groups", value: additionalGids.join(" ") }],
      }),
    }),
  ),
  "process.capabilities": row(
    z.record(z.string(), z.array(z.enum(capabilities))),
    ({ bounding = [], ambient = [] }, { config }) => {
      if (
        ambient.length > 0 &&
        z.object({ user: z.object({ uid: z.int().positive() }) }).safeParse(config.process).success
      )
        return "LXC gives no ambient capabilities to who is not root";
      const dropped = capabilities.filter((name) => !bounding.includes(name)).sort();
      if (dropped.length === 0) return {};
      return { fields: { capDrop: bounding.length === 0 ? ["ALL"] : dropped } };
    },
  ),
  "process.rlimits": row(
    z.array(
      z.strictObject({ type: z.string().regex(/^RLIMIT_[A-Z]+$/), soft: z.number(), hard: z.number() }),
    ),
    (rlimits) => ({
      lines: rlimits.map(({ type, soft, hard }) => ({
        key: `lxc.prlimit.${type.slice("RLIMIT_".length).toLowerCase()}`,
        value: [soft, hard].map((limit) => (limit >= noRlimit ? "unlimited" : String(limit))).join(":"),
      })),
    }),
  ),
  "process.oomScoreAdj": row(z.literal(0), () => ({})),
  "linux.namespaces": row(
    z.array(z.strictObject({ type: z.string(), path: z.string().optional() })),
    (namespaces) => {
      const joined = namespaces.find(({ path = "" }) => path !== "");
      if (joined !== undefined) return `${joined.type}: a Proxmox container joins nobody's namespace`;
      const there = namespaces.map(({ type }) => type);
      const missing = ["mount", "pid", "network", "ipc", "uts"].filter((type) => !there.includes(type));
      return missing.length > 0
        ? `a Proxmox container has its own ${missing.join(", ")}, never the host's`
        : {};
    },
  ),
  "linux.cgroupsPath": asItIs,
  "linux.rootfsPropagation": row(z.enum(["private", "rprivate", "slave", "rslave"]), () => ({})),
  "linux.seccomp": replaced,
  "linux.maskedPaths": replaced,
  "linux.readonlyPaths": replaced,
  "linux.resources.devices": row(
    z.array(
      z.object({
        allow: z.boolean(),
        type: z.string().optional(),
        major: z.int().optional(),
        minor: z.int().optional(),
        access: z.string().optional(),
      }),
    ),
    (rules) => {
      const more = rules.find((rule) => rule.allow && !isUsualDevice(rule));
      return more === undefined
        ? {}
        : `${more.type} ${more.major}:${more.minor} is allowed: name it in devices`;
    },
  ),
  "linux.resources.memory": row(
    z.strictObject({ limit: z.int().optional(), swap: z.int().optional() }),
    ({ limit = -1, swap }) => {
      if (swap !== undefined && (swap < limit || limit < 0)) return "swap: no limit is no number for Proxmox";
      const sizes = { memoryBytes: limit, ...(swap !== undefined && { swapBytes: swap - limit }) };
      if (Object.values(sizes).some((bytes) => bytes > 0 && bytes % mebibyte !== 0))
        return "Proxmox counts in whole MiB";
      return limit > 0 ? { fields: { resources: sizes } } : {};
    },
  ),
  "linux.resources.cpu": row(
    z.strictObject({
      quota: z.int().optional(),
      period: z.int().positive().default(100_000),
      shares: z.int().optional(),
    }),
    ({ quota = -1, period, shares }) => ({
      fields: {
        ...(quota > 0 && { resources: { cpus: quota / period } }),
        ...(shares !== undefined && { proxmox: { cpuunits: weightOf(shares) } }),
      },
    }),
  ),
  "linux.resources.pids": row(z.strictObject({ limit: z.int().default(-1) }), ({ limit: pids }) =>
    pids > 0 ? { fields: { resources: { pids } } } : {},
  ),
};

/**
 * What a bundle's configuration says of a Proxmox container. Pure.
 * @throws {NexcageError} `SPEC_REFUSED` naming the field that Proxmox cannot hold
 */
export function bundleWords(facts: BundleFacts): BundleWords {
  const words: BundleWords = { fields: {}, lines: [], replaced: [] };
  const visit = (value: unknown, field: string): void => {
    const take = table[field];
    if (value === undefined || value === null || value === "") return;
    if (take !== undefined) add(words, field, takeOrRefuse(take, { value, field, facts }));
    else if (isRecord(value) && Object.keys(table).some((name) => name.startsWith(`${field}.`)))
      for (const [key, inner] of Object.entries(value)) visit(inner, `${field}.${key}`);
    else if (!saysNothing(value)) throw refused(facts, field, "a Proxmox container cannot hold it");
  };
  for (const [key, value] of Object.entries(facts.config)) visit(value, key);
  return words;
}

function takeOrRefuse(
  take: Take,
  { value, field, facts }: { value: unknown; field: string; facts: BundleFacts },
): Part {
  try {
    return take(value, facts);
  } catch (error) {
    if (error instanceof Refusal) throw refused(facts, field, error.message);
    throw error;
  }
}

function refused({ file }: BundleFacts, field: string, reason: string): NexcageError {
  return new NexcageError("SPEC_REFUSED", `bundle: ${field}: ${reason}`, {
    hint: `change ${file}; what a container can say instead: docs/proxmox.md`,
    details: { file, field },
  });
}

function add(words: BundleWords, field: string, { fields = {}, lines = [], isReplaced }: Part): void {
  const { resources, proxmox } = words.fields;
  words.fields = {
    ...words.fields,
    ...fields,
    ...((resources ?? fields.resources) && { resources: { ...resources, ...fields.resources } }),
    ...((proxmox ?? fields.proxmox) && { proxmox: { ...proxmox, ...fields.proxmox } }),
  };
  words.lines.push(...lines);
  if (isReplaced === true) words.replaced.push(field);
}

function splitVariable(text: string): [name: string, value: string] {
  const end = text.indexOf("=");
  return end < 0 ? [text, ""] : [text.slice(0, end), text.slice(end + 1)];
}

/** The devices that every LXC container has, and making nodes. Source: LXC 5.0.2, common.conf. */
function isUsualDevice({
  type,
  major,
  minor,
  access,
}: {
  type?: string | undefined;
  major?: number | undefined;
  minor?: number | undefined;
  access?: string | undefined;
}): boolean {
  if (access === "m") return true;
  const usual = ["1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:1", "5:2"];
  return type === "c" && (major === 136 || usual.includes(`${major}:${minor}`));
}

/** Shares of cgroup v1 as a weight of v2, as runc and crun convert them. */
function weightOf(shares: number): number {
  return Math.min(10_000, Math.max(2, Math.trunc(1 + ((shares - 2) * 9_999) / 262_142)));
}

function saysNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === "") return true;
  return typeof value === "object" && Object.values(value).every(saysNothing) && !isListOfSomething(value);
}

/** `[{}]` is something, and `["", ""]`. */
function isListOfSomething(value: object): boolean {
  return Array.isArray(value) && value.length > 0;
}

function withoutNothing(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => !saysNothing(inner)));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
