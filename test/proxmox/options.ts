// The options of create and set, as a table (the recorded facts, "create").
import * as formats from "./formats.ts";
import { type Format, parseProperties } from "./properties.ts";
import type { Schema } from "./schema.ts";

const boolean: Schema = { type: "boolean" };
const text: Schema = { type: "string" };

function integer(minimum: number, maximum?: number): Schema {
  return { type: "integer", minimum, ...(maximum !== undefined && { maximum }) };
}

function properties(format: Format): Schema {
  return {
    type: "string",
    format(value, option) {
      const parsed = parseProperties(format, value, option);
      return "reason" in parsed ? parsed.reason : undefined;
    },
  };
}

const lockWords = [
  ...["backup", "create", "destroyed", "disk", "fstrim", "migrate", "mounted", "rollback", "snapshot"],
  "snapshot-delete",
];

const osTypes = [
  ...["debian", "devuan", "ubuntu", "centos", "fedora", "opensuse", "archlinux", "alpine", "gentoo", "nixos"],
  "unmanaged",
];

/** What has a line in the conf file; `N` stands for a number. */
export const confOptions: Readonly<Record<string, Schema>> = {
  lock: { type: "string", enum: lockWords },
  onboot: boolean,
  startup: formats.startup,
  template: boolean,
  arch: { type: "string", enum: ["amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"] },
  ostype: { type: "string", enum: osTypes },
  console: boolean,
  tty: integer(0, 6),
  cores: integer(1, 8192),
  cpulimit: { type: "number", minimum: 0, maximum: 8192 },
  cpuunits: integer(0, 500_000),
  memory: integer(16),
  swap: integer(0),
  hostname: { ...formats.hostname, maxLength: 255 },
  description: { type: "string", maxLength: 8192 },
  searchdomain: formats.nameList,
  nameserver: formats.addressList,
  timezone: text,
  cmode: { type: "string", enum: ["shell", "console", "tty"] },
  protection: boolean,
  unprivileged: boolean,
  features: properties(formats.features),
  hookscript: text,
  tags: formats.tagList,
  debug: boolean,
  entrypoint: text,
  env: text,
  rootfs: properties(formats.rootfs),
  parent: text,
  snaptime: text,
  snapstate: text,
  netN: properties(formats.net),
  mpN: properties(formats.mountPoint),
  devN: properties(formats.device),
  unusedN: properties(formats.unused),
};

/** How many of each numbered option there are. */
const counts: Record<string, number> = { net: 32, mp: 256, dev: 256, unused: 256 };

/** Of the conf's options, those that neither create nor set takes. */
const notGiven = new Set(["parent", "snaptime", "snapstate"]);
/** Came with PVE 9.1. */
const newOptions = new Set(["entrypoint", "env"]);

/** The schema of one option's value; undefined for an option that does not exist. */
export function confSchema(name: string): Schema | undefined {
  const [, family, number] = /^([a-z]+?)(\d+)$/.exec(name) ?? [];
  if (family !== undefined && number !== undefined) {
    const known = String(Number(number)) === number && Number(number) < (counts[family] ?? 0);
    return known ? confOptions[`${family}N`] : undefined;
  }
  return name.endsWith("N") ? undefined : confOptions[name];
}

/** Whether set and create take this option on this version of PVE. */
export function settableSchema(name: string, { pveVersion }: { pveVersion: 8 | 9 }): Schema | undefined {
  if (notGiven.has(name) || (pveVersion === 8 && newOptions.has(name))) return undefined;
  return confSchema(name);
}

/** What only create takes: nothing of it is in the conf. */
export const createOptions: Readonly<Record<string, Schema>> = {
  storage: text,
  bwlimit: { type: "number", minimum: 0 },
  start: boolean,
  force: boolean,
  restore: boolean,
  unique: boolean,
  "ignore-unpack-errors": boolean,
  "ha-managed": boolean,
  "ssh-public-keys": text,
  password: { type: "string", minLength: 5 },
  pool: text,
};
