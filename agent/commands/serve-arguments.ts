import { parseArgs } from "node:util";

/** The global options, as a command line has them. */
export type Globals = {
  root?: string | undefined;
  logLevel?: string | undefined;
  logFormat?: string | undefined;
  /** A file; `/etc/nexcage/config.yaml` where it is there. */
  config?: string | undefined;
  /** Such as `60s`. */
  lockTimeout?: string | undefined;
};

export type ServeArguments = Globals & {
  /** How far native/oci/serve.c has come with this session: it alone says `--unread FD`, `--greeted`, `--lock FD:FLEET`. */
  begun?: { unread: number; isGreeted: boolean; lock?: { fd: number; fleet: string } } | undefined;
};

/** The options of `serve --stdio …`; undefined for any other command line, also for one with a mistake in it. */
export function serveArguments(args: string[]): ServeArguments | undefined {
  if (args[0] !== "serve") return undefined;
  try {
    const { values } = parseArgs({
      args: args.slice(1),
      options: {
        stdio: { type: "boolean" },
        root: { type: "string" },
        config: { type: "string" },
        "log-level": { type: "string" },
        "log-format": { type: "string" },
        "lock-timeout": { type: "string" },
        unread: { type: "string" },
        greeted: { type: "boolean" },
        lock: { type: "string" },
      },
    });
    if (values.stdio !== true) return undefined;
    return {
      root: values.root,
      config: values.config,
      logLevel: values["log-level"],
      logFormat: values["log-format"],
      lockTimeout: values["lock-timeout"],
      begun: begunBy(values),
    };
  } catch {
    return undefined;
  }
}

function begunBy({
  unread,
  greeted = false,
  lock,
}: {
  unread?: string | undefined;
  greeted?: boolean | undefined;
  lock?: string | undefined;
}): ServeArguments["begun"] {
  if (unread === undefined) return undefined;
  const [, fd, fleet] = /^(\d+):(.+)$/.exec(lock ?? "") ?? [];
  return {
    unread: Number(unread),
    isGreeted: greeted,
    ...(fleet !== undefined && { lock: { fd: Number(fd), fleet } }),
  };
}
