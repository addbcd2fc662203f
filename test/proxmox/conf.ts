// The file of one container: parse and print (the recorded facts, "What create writes" and "Reading without pct").
import { createHash } from "node:crypto";
import { confSchema } from "./options.ts";

export type Section = {
  /** Decoded, with the newline at its end that pct always gives. */
  description: string | undefined;
  /** By key. `env` is there too, with a NUL between variables. */
  values: Map<string, string>;
  /** Raw `lxc.*` lines, in their own order. */
  lxc: [key: string, value: string][];
};

export type Conf = Section & {
  pending: Section;
  snapshots: Map<string, Section>;
  /** SHA-1 of the file's bytes. */
  digest: string;
};

export type ParsedConf = { conf: Conf; warnings: string[] };

const environmentKey = "lxc.environment.runtime";
const lxcKeys = [
  /^lxc\.(apparmor\..+|cap\.(drop|keep)|console\.(logfile|path)|environment.*|group|hook\..+|idmap|include)$/,
  /^lxc\.(init\.(cmd|cwd|uid|gid|groups)|kmsg|log\..+|mount\.(auto|entry|fstab)|pty\.max|tty\.max)$/,
  /^lxc\.(seccomp\..+|selinux\.context|signal\.(halt|reboot|stop)|start\..+|uts\.name|autodev)$/,
  /^lxc\.(cgroup2?|prlimit|net)\..+$/,
  /^lxc\.sysctl\.(fs\.mqueue.*|kernel\.(msg.*|sem|shm.*))$/,
];

export function emptySection(): Section {
  return { description: undefined, values: new Map(), lxc: [] };
}

export function emptyConf(): Conf {
  return { ...emptySection(), pending: emptySection(), snapshots: new Map(), digest: "" };
}

/** Reads a conf; a line that cannot be read is a warning, and is lost when the conf is printed again. */
export function parseConf(text: string, { vmid }: { vmid: string }): ParsedConf {
  const conf = emptyConf();
  conf.digest = createHash("sha1").update(text).digest("hex");
  const warnings: string[] = [];
  let section: Section = conf;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const [, header] = /^\[(pve:pending|[a-z][a-z0-9_-]+)\]\s*$/i.exec(line) ?? [];
    if (header?.toLowerCase() === "pve:pending") section = conf.pending;
    else if (header !== undefined) {
      section = emptySection();
      conf.snapshots.set(header, section);
    } else if (line.startsWith("#"))
      section.description = `${section.description ?? ""}${decode(line.slice(1))}\n`;
    else {
      const warning = parseLine(section, line);
      if (warning !== undefined) warnings.push(`vm ${vmid} - ${warning}`);
    }
  }
  return { conf, warnings };
}

function parseLine(section: Section, line: string): string | undefined {
  const [, lxcKey, lxcValue = ""] = /^(lxc\.[a-z0-9_\-.]+)(?::|\s*=)\s*(.*?)\s*$/.exec(line) ?? [];
  if (lxcKey === environmentKey) {
    const before = section.values.get("env");
    section.values.set("env", before === undefined ? lxcValue : `${before}\0${lxcValue}`);
    return undefined;
  }
  if (lxcKey !== undefined) {
    if (!lxcKeys.some((pattern) => pattern.test(lxcKey))) return `unable to parse config: ${line}`;
    section.lxc.push([lxcKey, lxcValue]);
    return undefined;
  }
  const [, key, value = ""] = /^([a-z][a-z_]*\d*):\s*(.*?)\s*$/.exec(line) ?? [];
  if (key === undefined) return `unable to parse config: ${line}`;
  if (key === "description") {
    section.description = `${section.description ?? ""}${decode(value)}\n`;
    return undefined;
  }
  section.values.set(key, value);
  if (key === "delete" || confSchema(key) !== undefined) return undefined;
  return `unable to parse value of '${key}' - unknown setting '${key}'`;
}

/** The file's text: description, sorted keys, variables, raw lines; then pending and the snapshots. */
export function printConf(conf: Conf): string {
  const parts = [printSection(conf)];
  const pending = printSection(conf.pending);
  if (pending !== "") parts.push(`[pve:pending]\n${pending}`);
  for (const name of [...conf.snapshots.keys()].sort())
    parts.push(`[${name}]\n${printSection(conf.snapshots.get(name) ?? emptySection())}`);
  return parts.join("\n");
}

function printSection({ description, values, lxc }: Section): string {
  const comments = description === undefined ? [] : printDescription(description);
  const keys = [...values.keys()].filter((key) => key !== "env").sort();
  const variables = values.get("env")?.split("\0") ?? [];
  const lines = [
    ...comments,
    ...keys.map((key) => `${key}: ${values.get(key)}`),
    ...variables.map((variable) => `${environmentKey}: ${variable}`),
    ...lxc.map(([key, value]) => `${key}: ${value}`),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function printDescription(description: string): string[] {
  return description
    .replace(/\n+$/, "")
    .split("\n")
    .map((line) => `#${encode(line)}`);
}

/** All bytes but printable ASCII without `%` and `:` as `%XX`. */
export function encode(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => {
      const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x25 && byte !== 0x3a;
      return isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}

export function decode(text: string): string {
  const bytes = Buffer.from(text.replace(/%([0-9a-f]{2})/gi, (_, hex) => `\0${hex}`));
  const plain: number[] = [];
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index] ?? 0;
    if (byte !== 0) plain.push(byte);
    else {
      plain.push(Number.parseInt(bytes.toString("latin1", index + 1, index + 3), 16));
      index += 2;
    }
  }
  return Buffer.from(plain).toString();
}

/** `Web;a,web` → `a;web`. */
export function normalizeTags(text: string): string {
  const tags = text
    .toLowerCase()
    .split(/[\s,;]+/)
    .filter(Boolean);
  return [...new Set(tags)].sort().join(";");
}
