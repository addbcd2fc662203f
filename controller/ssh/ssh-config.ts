import { glob, readFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import SSHConfig, { type Line, LineType } from "ssh-config";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { defined } from "../inventory/defined.ts";

/** What ssh_config(5) says of one host: the words that nexcage obeys, not expanded yet. */
export type SshSettings = {
  hostName?: string;
  user?: string;
  port?: number;
  identityFiles?: string[];
  identitiesOnly?: boolean;
  identityAgent?: string;
  proxyJump?: string;
  knownHosts?: string[];
  globalKnownHosts?: string[];
  hostKeyAlias?: string;
};

/** A user's ssh_config with its includes read in. */
export type SshConfig = { path: string; lines: SSHConfig };

/** As ssh: deeper than this, includes go in circles. */
const maxIncludeDepth = 16;

/**
 * Reads `~/.ssh/config` and what it includes; without the file there are no settings.
 * @throws {NexcageError} `INVALID_FILE`
 */
export async function readSshConfig(home: string): Promise<SshConfig> {
  const path = join(home, ".ssh", "config");
  return { path, lines: await readLines(path, { home, depth: 0 }) };
}

async function readLines(path: string, { home, depth }: { home: string; depth: number }): Promise<SSHConfig> {
  if (depth > maxIncludeDepth)
    throw new NexcageError("INVALID_FILE", `${path}: files include each other without an end`);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return new SSHConfig();
    throw new NexcageError("INVALID_FILE", `cannot read ${path}`, { cause: error });
  }
  let parsed: SSHConfig;
  try {
    parsed = SSHConfig.parse(text);
  } catch (error) {
    throw new NexcageError("INVALID_FILE", `${path}: ${error instanceof Error ? error.message : error}`, {
      hint: `to see what ssh makes of it: ssh -G localhost -F ${path}`,
      cause: error,
    });
  }
  return await withIncludes(parsed, { path, home, depth });
}

async function withIncludes(
  lines: SSHConfig,
  at: { path: string; home: string; depth: number },
): Promise<SSHConfig> {
  const result = new SSHConfig();
  for (const line of lines) {
    if (line.type === LineType.DIRECTIVE && /^include$/i.test(line.param)) {
      for (const path of await includedPaths(words(line.value), at))
        result.push(...(await readLines(path, { home: at.home, depth: at.depth + 1 })));
    } else if ("config" in line)
      result.push({ ...line, config: await withIncludes(line.config, at) } as Line);
    else result.push(line);
  }
  return result;
}

async function includedPaths(patterns: string[], { home }: { home: string }): Promise<string[]> {
  const paths: string[] = [];
  for (const pattern of patterns) {
    const expanded = pattern.replace(/^~(?=\/)/, home);
    const absolute = isAbsolute(expanded) ? expanded : join(home, ".ssh", expanded);
    const found: string[] = [];
    for await (const path of glob(absolute)) found.push(path);
    paths.push(...found.sort());
  }
  return paths;
}

/**
 * What the file says of a host as it is called in the inventory. `Match exec` is not run and so never matches.
 * @throws {NexcageError} `INVALID_FILE` where it asks for what nexcage cannot do
 */
export function settingsFor(alias: string, { path, lines }: SshConfig): SshSettings {
  const found = lines.compute(alias, { ignoreCase: true, matchExec: false });
  const all = (word: string): string[] | undefined => {
    const value = found[word];
    return value === undefined ? undefined : [value].flat();
  };
  const one = (word: string): string | undefined => all(word)?.join(" ").trim();
  const proxyCommand = one("proxycommand");
  const proxyJump = one("proxyjump");
  if (proxyCommand !== undefined && proxyCommand.toLowerCase() !== "none" && proxyJump === undefined)
    throw new NexcageError(
      "INVALID_FILE",
      `${path} reaches ${alias} through a ProxyCommand, which nexcage cannot`,
      {
        hint: `write a ProxyJump there, or proxy_jump: for ${alias} in the inventory`,
      },
    );
  return defined({
    hostName: one("hostname"),
    user: one("user"),
    port: portOf(one("port"), { alias, path }),
    identityFiles: all("identityfile"),
    identitiesOnly: yesOrNo(one("identitiesonly")),
    identityAgent: one("identityagent"),
    proxyJump,
    knownHosts: all("userknownhostsfile"),
    globalKnownHosts: all("globalknownhostsfile"),
    hostKeyAlias: one("hostkeyalias"),
  });
}

function portOf(
  text: string | undefined,
  { alias, path }: { alias: string; path: string },
): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new NexcageError("INVALID_FILE", `${path}: "${text}" is not a port (of ${alias})`);
}

function yesOrNo(text: string | undefined): boolean | undefined {
  return text === undefined ? undefined : text.toLowerCase() === "yes";
}

function words(value: string | { val: string }[]): string[] {
  return typeof value === "string" ? value.split(/\s+/) : value.map(({ val }) => val);
}
