import * as z from "zod";
import { NexcageError } from "../shared/errors.ts";
import { nearestHint } from "../shared/nearest.ts";
import { Network, ProxmoxOptions } from "../shared/spec.ts";
import { type LogLevel, logLevels } from "./log.ts";
import { readText } from "./state/files.ts";

/*
 * What an administrator says once for all containers that are made by hand on this host. YAML, and so JSON too: a
 * `config.json` of NexCage 0.7 is read, and what it says that has no meaning any more is named.
 */

/** What a file says that matters. A fleet's containers say all of it themselves. */
export type Config = {
  file: string;
  logLevel?: LogLevel | undefined;
  /** The first whose pattern matches a container's name says what runs it. */
  routing: { pattern: RegExp; runtime: string }[];
  /** For what no pattern matches. */
  defaultRuntime?: string | undefined;
  network?: Network | undefined;
  proxmox?: ProxmoxOptions | undefined;
  /** Fields of 0.7's that change nothing here, as `proxmox.token`. */
  ignored: string[];
};

/** Read where they are there; what `--config` names must be. */
export const defaultFiles = ["/etc/nexcage/config.yaml", "/etc/nexcage/config.json"];

/** In 0.7 a runtime had two names. */
const runtimes = {
  "proxmox-lxc": "lxc",
  "proxmox-vm": "vm",
  lxc: "lxc",
  vm: "vm",
  crun: "crun",
  runc: "runc",
};
const Runtime = z
  .enum(["lxc", "crun", "runc", "vm", "proxmox-lxc", "proxmox-vm"])
  .transform((name) => runtimes[name]);
const Level = z.enum([...logLevels, "fatal"]).transform((level) => (level === "fatal" ? "error" : level));
const Routing = z.array(z.strictObject({ pattern: z.string(), runtime: Runtime }));

/** A field of 0.7's without a meaning here. */
const ignored = z.unknown();

const File = z.strictObject({
  runtime: z
    .strictObject({
      routing: Routing.optional(),
      log_level: Level.optional(),
      ...Object.fromEntries(["log_path", "root_path", "socket_path"].map((key) => [key, ignored.optional()])),
    })
    .optional(),
  routing: Routing.optional(),
  default_runtime: Runtime.optional(),
  runtime_type: Runtime.optional(),
  log_level: Level.optional(),
  network: z
    .strictObject({
      bridge: Network.shape.bridge.optional(),
      ip: Network.shape.ip,
      gateway: Network.shape.gateway,
    })
    .optional(),
  proxmox: z
    .strictObject({
      storage: ProxmoxOptions.shape.storage,
      rootfs_size_gb: z.int().positive().optional(),
      unprivileged: z.boolean().optional(),
      ...Object.fromEntries(
        [
          ...["host", "hosts", "port", "token", "node", "node_cache_duration", "user", "realm", "verify_ssl"],
          ...["timeout", "pct_path", "legacy_api", "ostype"],
        ].map((key) => [key, ignored.optional()]),
      ),
    })
    .optional(),
  ...Object.fromEntries(
    [
      ...["log_file", "data_dir", "cache_dir", "temp_dir", "security", "resources", "container_config"],
      ...["storage", "containers", "networking", "logging", "monitoring"],
    ].map((key) => [key, ignored.optional()]),
  ),
});

/**
 * The configuration; undefined where none is named and there is none.
 * @throws {NexcageError} `INVALID_FILE` naming file and field
 */
export async function loadConfig(named: string | undefined): Promise<Config | undefined> {
  const file = named ?? defaultFiles.find((path) => readText(path) !== undefined);
  const text = file === undefined ? undefined : readText(file);
  if (file === undefined) return undefined;
  if (text === undefined) throw invalid(file, "it does not exist");
  const { parseDocument } = await import("yaml");
  const document = parseDocument(text, { prettyErrors: true, logLevel: "silent" });
  const [mistake] = document.errors;
  if (mistake !== undefined) throw invalid(file, mistake.message.split("\n")[0] ?? mistake.code);
  return parseConfig(document.toJS(), file);
}

/**
 * Pure.
 * @throws {NexcageError} `INVALID_FILE`
 */
export function parseConfig(value: unknown, file: string): Config {
  if (typeof value === "object" && value !== null && "ociVersion" in value)
    throw invalid(file, "this is an OCI bundle's config.json", "say --bundle FOLDER for it");
  const parsed = File.safeParse(value ?? {});
  if (!parsed.success) throw mistakeOf(parsed.error, file);
  const { runtime, network, proxmox, ...top } = parsed.data;
  const routing = runtime?.routing ?? top.routing ?? [];
  return {
    file,
    logLevel: runtime?.log_level ?? top.log_level,
    routing: routing.map(({ pattern, runtime: name }) => ({
      pattern: patternOf(pattern, file),
      runtime: name,
    })),
    defaultRuntime: top.default_runtime ?? top.runtime_type,
    network: network && {
      name: "eth0",
      bridge: network.bridge ?? defaultBridge,
      ip: network.ip ?? "dhcp",
      ...(network.gateway !== undefined && { gateway: network.gateway }),
    },
    proxmox: proxmox && {
      ...(proxmox.storage !== undefined && { storage: proxmox.storage }),
      ...(proxmox.rootfs_size_gb !== undefined && { rootfsBytes: proxmox.rootfs_size_gb * 1024 ** 3 }),
      ...(proxmox.unprivileged !== undefined && { unprivileged: proxmox.unprivileged }),
    },
    ignored: ignoredIn(parsed.data),
  };
}

const defaultBridge = "vmbr50";

/**
 * What runs a container of this name, and which of the configuration's words say so; undefined where none does. Pure.
 */
export function routeOf(id: string, config: Config | undefined): { runtime: string; by: string } | undefined {
  const found = config?.routing.find(({ pattern }) => pattern.test(id));
  if (found !== undefined) return { runtime: found.runtime, by: `its name matches ${found.pattern.source}` };
  if (config?.defaultRuntime === undefined) return undefined;
  return { runtime: config.defaultRuntime, by: "default_runtime" };
}

/** What is set, in words. Pure. */
export function settingsOf({ logLevel, routing, defaultRuntime, network, proxmox = {} }: Config): string[] {
  const values = {
    "log level": logLevel,
    bridge: network?.bridge,
    ip: network?.ip,
    gateway: network?.gateway,
    storage: proxmox.storage,
    rootfs: proxmox.rootfsBytes && `${proxmox.rootfsBytes / 1024 ** 3} GiB`,
    unprivileged: proxmox.unprivileged,
  };
  const routes = routing.map(({ pattern, runtime }) => `${pattern.source} → ${runtime}`);
  return [
    ...Object.entries(values).flatMap(([word, value]) => (value === undefined ? [] : [`${word} ${value}`])),
    ...routes,
    ...(defaultRuntime === undefined ? [] : [`else ${defaultRuntime}`]),
  ];
}

/** A regular expression, or as in 0.7's examples a name with stars: `web-*`. */
function patternOf(text: string, file: string): RegExp {
  const isGlob = /^[\w*?-]+$/.test(text);
  try {
    return isGlob ? new RegExp(`^${text.replaceAll("*", ".*").replaceAll("?", ".")}$`) : new RegExp(text);
  } catch {
    throw invalid(file, `runtime.routing: ${JSON.stringify(text)} is no regular expression`);
  }
}

const known = {
  "": Object.keys(File.shape),
  runtime: Object.keys(File.shape.runtime.unwrap().shape),
  proxmox: Object.keys(File.shape.proxmox.unwrap().shape),
  network: Object.keys(File.shape.network.unwrap().shape),
};
const meant: Record<keyof typeof known, string[]> = {
  "": ["runtime", "routing", "default_runtime", "runtime_type", "log_level", "network", "proxmox"],
  runtime: ["routing", "log_level"],
  proxmox: ["storage", "rootfs_size_gb", "unprivileged"],
  network: known.network,
};

/** The fields that are there and change nothing. */
function ignoredIn(data: object): string[] {
  return (Object.keys(known) as (keyof typeof known)[]).flatMap((section) => {
    const part: unknown = section === "" ? data : Object.entries(data).find(([key]) => key === section)?.[1];
    const fields = typeof part === "object" && part !== null ? Object.keys(part) : [];
    const without = fields.filter((field) => !meant[section].includes(field));
    return without.map((field) => (section === "" ? field : `${section}.${field}`));
  });
}

function mistakeOf({ issues }: z.ZodError, file: string): NexcageError {
  const [issue] = issues;
  const place = issue?.path.join(".") ?? "";
  if (issue?.code !== "unrecognized_keys") return invalid(file, `${place || "it"}: ${issue?.message}`);
  const [word = ""] = issue.keys;
  const fields = Object.entries(known).find(([section]) => section === place)?.[1] ?? ["pattern", "runtime"];
  return invalid(
    file,
    `${place === "" ? "" : `${place}: `}${JSON.stringify(word)} is not a field of it`,
    nearestHint(word, fields, "fields"),
  );
}

function invalid(file: string, reason: string, hint?: string): NexcageError {
  return new NexcageError("INVALID_FILE", `${file}: ${reason}`, { hint });
}
