import { defined } from "./defined.ts";
import type { YamlDocument } from "./documents.ts";
import { type Membership, resolveGroups } from "./groups.ts";
import { builtIn, type Inventory } from "./inventory-schema.ts";
import { expandPath } from "./local-path.ts";
import { formatPlace, type Report } from "./mistakes.ts";
import type { Host, Place, Ssh } from "./model.ts";
import { type Level, levelOf, makeGroupLevels, nothing, overlay } from "./settings.ts";

/** An inventory document whose types are right. */
export type ParsedInventory = { document: YamlDocument; value: Inventory };

export type ResolvedInventory = {
  /** Sorted by name. */
  hosts: Host[];
  /** Of each host, what was said about it and where. */
  levels: ReadonlyMap<string, Level>;
  membership: Membership;
};

/** Brings defaults, groups and hosts of all documents together. Pure. */
export function resolveInventory(
  inventories: ParsedInventory[],
  { home, report }: { home: string; report: Report },
): ResolvedInventory {
  const hosts = mergeByName(inventories, { word: "hosts", of: ({ hosts }) => hosts, report });
  const groups = mergeByName(inventories, { word: "groups", of: ({ groups }) => groups ?? {}, report });
  const membership = resolveGroups(groups, { hosts: new Set(hosts.keys()), report });
  const defaults = defaultsOf(inventories, report);
  const groupLevel = makeGroupLevels(groups, { membership, report });

  const levels = new Map<string, Level>();
  const resolved = [...hosts.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, value, document }) => {
      const { address, host_key: hostKey } = value;
      const path = ["hosts", name];
      const own = levelOf(value, { level: "host", owner: name, document, path });
      const level = overlay([defaults, groupLevel(name, own), own]);
      levels.set(name, level);
      if (level.settings.connection === "local")
        for (const word of ["address", "host_key", "ssh"] as const)
          if (value[word] !== undefined)
            report(document.keyPlace([...path, word]), `"${word}" means nothing with connection: local`);
      const groups = membership.groupsOf.get(name) ?? [];
      return makeHost(name, { address, hostKey, level, groups, place: document.keyPlace(path), home });
    });
  return { hosts: resolved, levels, membership };
}

/** What all documents have under one word; a name that stands in two of them is reported. */
function mergeByName<Value>(
  inventories: ParsedInventory[],
  { word, of, report }: { word: string; of: (value: Inventory) => Record<string, Value>; report: Report },
): Map<string, { name: string; value: Value; document: YamlDocument }> {
  const merged = new Map<string, { name: string; value: Value; document: YamlDocument }>();
  for (const { document, value } of inventories)
    for (const [name, item] of Object.entries(of(value))) {
      const before = merged.get(name)?.document.keyPlace([word, name]);
      if (before === undefined) merged.set(name, { name, value: item, document });
      else report(document.keyPlace([word, name]), `"${name}" stands in ${formatPlace(before)} already`);
    }
  return merged;
}

function defaultsOf(inventories: ParsedInventory[], report: Report): Level {
  const [first, ...others] = inventories.filter(({ value }) => value.defaults !== undefined);
  for (const { document } of others)
    report(
      document.keyPlace(["defaults"]),
      "defaults stand in another document already",
      "write them together",
    );
  if (first === undefined) return nothing;
  return levelOf(first.value.defaults ?? {}, {
    level: "defaults",
    owner: "defaults",
    document: first.document,
    path: ["defaults"],
  });
}

function makeHost(
  name: string,
  options: {
    address: string | undefined;
    hostKey: string | undefined;
    level: Level;
    groups: string[];
    place: Place;
    home: string;
  },
): Host {
  const { address = name, hostKey, level, groups, place, home } = options;
  const { settings, ledger } = level;
  const { ssh = {} } = settings;
  const pathsOf = (word: "identity_file" | "known_hosts"): string[] | undefined => {
    const file = ledger.get(`ssh.${word}`)?.document.path ?? "";
    return ssh[word]?.map((path) => expandPath(path, { file, home }));
  };
  const connection: Ssh = {
    address,
    ...defined({
      port: ssh.port,
      user: ssh.user,
      identityFiles: pathsOf("identity_file"),
      identitiesOnly: ssh.identities_only,
      knownHosts: pathsOf("known_hosts"),
      hostKey,
      proxyJump: ssh.proxy_jump,
      passphraseCommand: ssh.passphrase_command,
    }),
    hostKeyChecking: ssh.host_key_checking ?? builtIn["ssh.host_key_checking"],
    connectTimeoutMs: ssh.connect_timeout ?? builtIn["ssh.connect_timeout"],
  };
  return {
    name,
    connection: settings.connection === "local" ? { kind: "local" } : { kind: "ssh", ...connection },
    become: settings.become ?? builtIn.become,
    agentPath: settings.agent?.path ?? builtIn["agent.path"],
    storageParallel: settings.concurrency?.storage_parallel ?? builtIn["concurrency.storage_parallel"],
    hostParallel: settings.concurrency?.host_parallel ?? builtIn["concurrency.host_parallel"],
    commandTimeoutMs: settings.command_timeout ?? builtIn.command_timeout,
    groups,
    labels: settings.labels ?? {},
    vars: settings.vars ?? {},
    place,
  };
}
