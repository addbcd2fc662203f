import * as z from "zod";
import { capabilities } from "../../shared/capabilities.ts";
import { nearestHint } from "../../shared/nearest.ts";
import { AbsolutePath, backendNames, User } from "../../shared/spec.ts";
import { Devices, Network, Proxmox, StorageName, Template } from "./proxmox-schema.ts";
import {
  ContainerName,
  Count,
  Duration,
  Flag,
  LabelName,
  LocalPath,
  listOf,
  Name,
  oneOf,
  PathOnHost,
  PositiveCount,
  PositiveNumber,
  Signal,
  Size,
  SizeOrNone,
  shown,
  Text,
} from "./scalars.ts";
import { words } from "./vocabulary.ts";

/** `NAME: value`, or a list of `NAME=value`, as compose has it. → a record */
function assignments<Key extends z.ZodType<string>>(Key: Key, what: string) {
  const aPair = {
    error: ({ input }: { input?: unknown }) =>
      `${shown(input)} is not ${what} with its value\nas in NAME=value`,
  };
  const pair = z
    .string(aPair)
    .regex(/^[^=\0]+=[^\0]*$/, aPair)
    .transform((text): [string, string] => {
      const end = text.indexOf("=");
      return [text.slice(0, end), text.slice(end + 1)];
    });
  return z
    .union([z.record(Key, Text), z.array(pair)], { error: "a map is expected, or a list of NAME=value" })
    .transform(
      (values): Record<string, string> => (Array.isArray(values) ? Object.fromEntries(values) : values),
    )
    .pipe(z.record(Key, z.string()));
}

const aVariable = ({ input }: { input?: unknown }) =>
  `${shown(input)} is not the name of an environment variable\nletters, digits and _ only, beginning with a letter or _`;
const Variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: aVariable });

const Capability = z
  .string()
  .regex(/^[A-Za-z_]+$/)
  .transform((text, context) => {
    const name = text.toUpperCase();
    const full = name === "ALL" || name.startsWith("CAP_") ? name : `CAP_${name}`;
    const known: readonly string[] = ["ALL", ...capabilities];
    if (known.includes(full)) return full;
    const hint = nearestHint(full, known, "see capabilities(7)") ?? "";
    context.addIssue({ code: "custom", message: `${shown(text)} is not a capability\n${hint}` });
    return z.NEVER;
  });

const Resources = words("resources", {
  cpus: PositiveNumber.optional().describe("How many CPUs' time it may use at most, as in 0.5."),
  memory: Size.optional().describe("How much memory it may use at most, as in 512m; lxc: in whole MiB."),
  swap: SizeOrNone.optional().describe("lxc: how much swap it may use beside its memory; 0 is none."),
  pids: PositiveCount.optional().describe("How many processes and threads it may have at most."),
});

const TmpfsOptions = words("tmpfs", {
  size: Size.optional().describe("How large it may grow, as in 64m."),
  mode: z
    .string({ error: 'the mode is text\nquote it, as in "1777"' })
    .regex(/^[0-7]{3,4}$/, { error: ({ input }) => `${shown(input)} is not a mode\nas in "1777"` })
    .optional()
    .describe('The mode of its root folder, quoted, as in "1777".'),
});

/** A volume of a container's own; `storage` and `size` may stand here or where it is mounted. */
export const VolumeDefinition = words(
  "the definition of a volume",
  {
    storage: StorageName.optional().describe("The storage that holds it (that of the root file system)."),
    size: Size.optional().describe("How large it is, as in 8g; in whole MiB, and it can only grow."),
    backup: Flag.optional().describe("Whether Proxmox's backups have it too (false)."),
  },
  { later: ["protect"] },
);

export const Volume = words(
  "a volume",
  {
    type: oneOf(["bind", "tmpfs", "volume"]).describe(
      "bind: a path of the host; tmpfs: memory; volume (lxc): storage of the container's own.",
    ),
    source: Text.optional().describe("For bind: the path on the host; for volume: its name."),
    ...VolumeDefinition.shape,
    target: PathOnHost.describe("The path in the container."),
    read_only: Flag.optional().describe("The container cannot write there."),
    tmpfs: TmpfsOptions.optional().describe("For tmpfs: its size and mode."),
  },
  { later: ["volume", "consistency", "protect"] },
);

const aShortVolume = ({ input }: { input?: unknown }) =>
  `${shown(input)} is not a volume\nas in /srv/data:/data, /srv/data:/data:ro or NAME:/data; both paths absolute`;
/** `NAME:/data` becomes a map before it comes here (volumes.ts). */
const ShortVolume = z
  .string()
  .regex(/^(\/[^:\0]*|[A-Za-z0-9][\w.-]{0,62}):\/[^:\0]*(:r[ow])?$/, { error: aShortVolume, abort: true })
  .refine(
    (text) => text.split(":", 2).every((path) => /^[^/]/.test(path) || AbsolutePath.safeParse(path).success),
    { error: aShortVolume },
  );

const Condition = words("a dependency", {
  condition: oneOf(["started"], { later: ["healthy", "completed_successfully"] })
    .optional()
    .describe("What it must have come to first: started."),
});

const aConstraint = {
  error: ({ input }: { input?: unknown }) =>
    `${shown(input)} is not a constraint\nas in "group == prod", "group != edge", "label.zone == hel"`,
};

const Placement = words("placement", {
  constraints: z
    .array(
      z
        .string(aConstraint)
        .regex(/^\s*(group|label\.[A-Za-z0-9][A-Za-z0-9_./-]*)\s*(==|!=)\s*\S(.*\S)?\s*$/, aConstraint),
    )
    .optional()
    .describe('What a host must be to be chosen: all of these, as in "group == prod", "label.zone != hel".'),
  spread: words("spread", {
    by: LabelName.describe("The label over whose values the replicas are spread, as in zone."),
  })
    .optional()
    .describe("Spread the replicas evenly; without it, over the hosts."),
  max_per_host: PositiveCount.optional().describe("How many of its replicas one host takes at most."),
});

const aCommand = {
  error: ({ input }: { input?: unknown }) =>
    typeof input === "string"
      ? `a command is a list\nwrite [${input
          .trim()
          .split(/\s+/)
          .map((word) => JSON.stringify(word))
          .join(", ")}], or ["/bin/sh", "-c", …] for a shell`
      : `${shown(input)} is not a command\nwrite a list of text, as in ["/bin/app", "--port", "8080"]`,
};

const Update = words(
  "update",
  {
    snapshot: oneOf(["none", "auto", "required"])
      .optional()
      .describe(
        "lxc: a snapshot before a container is changed in place (none); auto: where its storage can; required: else it is not changed.",
      ),
  },
  {
    id: "update",
    later: [
      ...["max_parallel", "stagger", "canary", "auto_promote", "min_healthy_time", "healthy_deadline"],
      ...["progress_deadline", "auto_revert", "revert_scope", "order"],
    ],
  },
);

export const Container = words(
  "a container",
  {
    runtime: oneOf(backendNames, { later: ["vm"] })
      .default("crun")
      .describe(
        "What runs it: crun, an OCI container; lxc, a container of Proxmox's; runc, an OCI container by the host's runc.",
      ),
    bundle: PathOnHost.optional().describe("An OCI bundle that is on the host, the path of its folder."),
    template: Template.optional().describe(
      "lxc: a template of the host's storages: by name, as in debian-13-standard, the newest; or by volume, as in local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst.",
    ),
    rootfs: LocalPath.optional().describe(
      "Its files: a folder or tar archive beside this file, sent to the hosts.",
    ),
    command: z
      .array(Text, aCommand)
      .min(1)
      .optional()
      .describe("The program and its arguments, as a list; a template has its own init."),
    environment: assignments(Variable, "a variable").optional().describe("Its environment variables."),
    user: Text.refine((text) => User.safeParse(text).success, {
      error: ({ input }) => `${shown(input)} is not a user\nas in 1000, 1000:1000 or www-data`,
    })
      .optional()
      .describe("Whom the command runs as: uid, uid:gid, or names of its own /etc/passwd (root)."),
    working_dir: PathOnHost.optional().describe("Where the command starts (/)."),
    hostname: z
      .string()
      .regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/, {
        error: ({ input }) =>
          `${shown(input)} is not a hostname\nletters, digits, "-" and "." only, at most 63`,
      })
      .optional()
      .describe("The hostname that it sees."),
    volumes: z
      .array(z.union([ShortVolume, Volume], { error: aShortVolume }))
      .optional()
      .describe("What is mounted into it: /on/host:/in/container[:ro], or a map."),
    tmpfs: listOf(PathOnHost, "an absolute path").optional().describe("Where it has folders in memory."),
    networks: z
      .array(Network)
      .max(32, { error: "Proxmox takes 32 interfaces at most" })
      .optional()
      .describe("lxc: its network interfaces; crun shares its host's network."),
    devices: Devices.optional().describe("lxc: devices of the host that it may use."),
    resources: Resources.optional().describe("What it may use at most."),
    read_only: Flag.optional().describe("Its files cannot be written, volumes apart."),
    cap_add: z
      .array(Capability)
      .optional()
      .describe("crun: capabilities that it has besides the usual ones, or ALL."),
    cap_drop: z.array(Capability).optional().describe("Capabilities that it does not have, or ALL."),
    labels: assignments(LabelName, "a label").optional().describe("Words that you give it."),
    proxmox: Proxmox.optional().describe("lxc: what only Proxmox has words for."),
    stop_signal: Signal.optional().describe("What asks it to stop (SIGTERM)."),
    stop_grace_period: Duration.optional().describe(
      "How long it may take to stop before it is killed (10s).",
    ),
    host: Name.optional().describe("The host that it runs on."),
    mode: oneOf(["replicated", "global"])
      .default("replicated")
      .describe("replicated: as many as replicas says; global: one on each host that fits."),
    replicas: Count.optional().describe("How many there are (1): more than one are called NAME-1, NAME-2, …"),
    placement: Placement.optional().describe("Which hosts may run it."),
    depends_on: z
      .union([z.array(Text), z.record(z.string(), Condition.nullable())], {
        error: "a list of containers is expected, or a map with their conditions",
      })
      .transform((names) => (Array.isArray(names) ? names : Object.keys(names)))
      .optional()
      .describe("The containers that must be started first."),
    protect: Flag.default(false).describe("Never delete or replace it."),
    update: Update.optional().describe("How it is changed, where that is not as the fleet says."),
  },
  {
    later: ["image", "healthcheck", "restart", "secrets", "configs", "hooks"],
    instead: {
      deploy: "write replicas, mode, placement and resources directly into the container",
      entrypoint: 'write "command"',
      env_file: `write "environment", with \${NAME} for what the environment has`,
      container_name: "a container is called by its key, its replicas NAME-1, NAME-2, …",
      mem_limit: 'write "memory" under "resources"',
      memory: 'write it under "resources"',
      cpus: 'write it under "resources"',
    },
  },
);
export type Container = z.output<typeof Container>;

const frame = {
  apiVersion: z.literal("nexcage/v1").describe("The version of these words."),
  kind: z.literal("Fleet").describe("That this document is a fleet."),
  name: Name.describe("The fleet's name: what it owns on the hosts is marked with it."),
  prune: Flag.default(false).describe("Delete what this fleet owns and no file names any more."),
  limits: words(
    "limits",
    {
      max_destroy: Count.optional().describe("How many containers one apply may replace or delete at most."),
    },
    { later: ["max_unavailable"] },
  )
    .optional()
    .describe("What one apply may do at most."),
  update: Update.optional().describe("How its containers are changed."),
  lock: words(
    "lock",
    { wait: Duration.optional().describe("How long to wait for another apply of this fleet (0s).") },
    { later: ["ttl"] },
  )
    .optional()
    .describe("What to do while somebody else applies this fleet."),
  on_unreachable: oneOf(["fail", "skip"], { later: ["defer"] })
    .default("fail")
    .describe("How apply ends when hosts cannot be reached; the others are done in both cases."),
};

const fleetWords = {
  later: ["require_environment", "registries", "images", "secrets", "configs", "networks", "hooks", "notify"],
  instead: { services: 'write "containers"' },
};

export const Fleet = words(
  "a fleet",
  {
    ...frame,
    volumes: z
      .record(Name, VolumeDefinition)
      .optional()
      .describe("Volumes of the containers that mount them, by name: each replica has its own."),
    containers: z.record(ContainerName, Container).describe("What should run, by name."),
  },
  fleetWords,
);

/** A fleet around its containers and volumes, which are checked one by one: a wrong one does not hide the others. */
export const FleetFrame = words(
  "a fleet",
  {
    ...frame,
    volumes: z.record(Name, z.unknown()).optional(),
    containers: z.record(ContainerName, z.unknown()),
  },
  fleetWords,
);
export type FleetFrame = z.output<typeof FleetFrame>;
