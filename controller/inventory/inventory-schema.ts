import * as z from "zod";
import {
  Duration,
  Flag,
  LabelName,
  LocalPath,
  listOf,
  Name,
  oneOf,
  Port,
  PositiveCount,
  ProgramPath,
  Text,
  VariableName,
} from "./scalars.ts";
import { mayBeEmpty, words } from "./vocabulary.ts";

/** What holds for a host where no file says otherwise. */
export const builtIn = {
  connection: "ssh",
  become: "none",
  "ssh.host_key_checking": "strict",
  "ssh.connect_timeout": 10_000,
  "agent.path": "/usr/bin/nexcage-agent",
  "concurrency.host_parallel": 8,
  "concurrency.storage_parallel": 1,
  command_timeout: 60_000,
} as const;

const Ssh = words(
  "ssh",
  {
    user: Text.optional().describe("Whom to log in as."),
    port: Port.optional().describe("The port of the SSH server."),
    identity_file: listOf(LocalPath, "the path of a private key")
      .optional()
      .describe("The private keys to try, in this order."),
    identities_only: Flag.optional().describe("Use only these keys, and not those of ssh-agent."),
    known_hosts: listOf(LocalPath, "the path of a known_hosts file")
      .optional()
      .describe("Where host keys are known from, in place of ~/.ssh/known_hosts; hashed names work."),
    host_key_checking: oneOf(["strict", "accept-new"])
      .optional()
      .describe("What to do about a host whose key is not known (strict: stop). A changed key always stops."),
    connect_timeout: Duration.optional().describe("How long to try to connect (10s)."),
    proxy_jump: Text.optional().describe("The hosts to go through, as in ssh_config: [user@]host[:port], …"),
    passphrase_command: z
      .array(Text)
      .min(1)
      .optional()
      .describe("A program and its arguments that print the passphrase of the keys."),
    forward_agent: z
      .union([z.literal(false), z.literal("false")], {
        error: "agent forwarding is off, and cannot be turned on\ngive the host a key of its own",
      })
      .optional()
      .describe("Only false: the ssh-agent is never forwarded."),
  },
  {
    id: "ssh",
    later: ["transport"],
    instead: { identity_files: 'write "identity_file", which takes a list too' },
  },
);

const Agent = words("agent", {
  path: ProgramPath.optional().describe("The path of nexcage-agent on the host (/usr/bin/nexcage-agent)."),
});

const Concurrency = words(
  "concurrency",
  {
    host_parallel: PositiveCount.optional().describe("Steps at once on one host (8)."),
    storage_parallel: PositiveCount.optional().describe(
      "lxc: containers made at once on one storage of a host (1).",
    ),
  },
  { id: "concurrency" },
);

const Labels = z.record(LabelName, Text);
const Variables = z.record(VariableName, Text);

/** What defaults, groups and hosts can say alike; a host's word goes before its groups', and those before the defaults. */
const settings = {
  connection: oneOf(["ssh", "local"])
    .optional()
    .describe("How the host is reached (ssh); local: it is this machine."),
  ssh: Ssh.optional().describe("How to connect; what is not said is as in ~/.ssh/config."),
  become: oneOf(["none", "sudo"]).optional().describe("How the agent becomes root on the host (none)."),
  agent: Agent.optional().describe("The program on the host."),
  concurrency: Concurrency.optional().describe("How much is done at once."),
  command_timeout: Duration.optional().describe("How long the agent may take to answer a question (1m)."),
  labels: Labels.optional().describe("What placement can ask for."),
  vars: Variables.optional().describe('What "{{ name }}" in a container stands for on this host.'),
};

const Defaults = words("defaults", settings);

const Group = words("a group", {
  hosts: z.array(Name).optional().describe("The hosts of the group."),
  children: z.array(Name).optional().describe("Groups whose hosts are in this group too."),
  ...settings,
});

const Host = words(
  "a host",
  {
    address: Text.optional().describe("Its name or IP address, if its key here is not that."),
    host_key: z
      .string()
      .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, {
        error: ({ input }) =>
          `${JSON.stringify(input)} is not the fingerprint of a key\nas ssh-keygen -lf shows it: SHA256:…`,
      })
      .optional()
      .describe("The fingerprint that its key must have."),
    ...settings,
  },
  { instead: { user: "write it under ssh", port: "write it under ssh", ansible_host: 'write "address"' } },
);

export const Inventory = words(
  "an inventory",
  {
    apiVersion: z.literal("nexcage/v1").describe("The version of these words."),
    kind: z.literal("Inventory").describe("That this document is an inventory."),
    defaults: mayBeEmpty(Defaults)
      .optional()
      .describe("What holds for every host that does not say otherwise."),
    groups: z.record(Name, mayBeEmpty(Group)).optional().describe("The groups of hosts, by name."),
    hosts: z.record(Name, mayBeEmpty(Host)).describe("The hosts, by name."),
  },
  { later: ["clusters"] },
);
export type Inventory = z.output<typeof Inventory>;
export type Settings = z.output<typeof Defaults>;
