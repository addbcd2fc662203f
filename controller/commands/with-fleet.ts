import { homedir, hostname, userInfo } from "node:os";
import type { LockHolder } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import type { Emit } from "../events.ts";
import { type Connect, type OpenFleet, openFleet } from "../fleet.ts";
import type { Fleet, Host } from "../inventory/model.ts";
import { type Selection, select } from "../inventory/select.ts";
import { openProgress, type Progress } from "../report/progress.ts";
import { askSecret } from "./ask.ts";
import { interrupted } from "./interrupt.ts";
import { namesFile, rememberNames } from "./known-names.ts";
import { loadFiles } from "./load-files.ts";

/** What the commands over a fleet are told; see `fleetOptions`. */
export type FleetArguments = {
  file?: string[] | undefined;
  limit?: string | undefined;
  containers?: string[] | undefined;
  /** They may be on the hosts and in no file any more. */
  mayHaveLeft?: boolean;
  forks: number;
  output: "text" | "json";
  verbose: boolean;
  "log-format": "text" | "json";
  /** Takes each event, beside the progress that is shown. */
  record?: Emit;
};

export type FleetContext = {
  fleet: Fleet;
  selection: Selection;
  opened: OpenFleet;
  progress: Progress;
  color: boolean;
  signal: AbortSignal;
};

/** True where stdout shows colours: a terminal, and no `NO_COLOR`. */
export function wantsColor(): boolean {
  return process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
}

/** Reads the files, selects, opens an agent on each host that is selected, and closes them after `work`. */
export async function withFleet<T>(
  argv: FleetArguments,
  work: (context: FleetContext) => Promise<T>,
): Promise<T> {
  const signal = interrupted();
  const resolved = await loadFiles(argv);
  const fleet = requireFleet(resolved.fleet);
  const selection = select(resolved, {
    limit: argv.limit,
    containers: argv.containers ?? [],
    mayHaveLeft: argv.mayHaveLeft,
  });
  using shown = openProgress(process.stderr, {
    quiet: argv.output === "json",
    verbose: argv.verbose,
    format: argv["log-format"],
  });
  const progress = { ...shown, emit: both(shown.emit, argv.record) };
  await using opened = await openFleet(selection.hosts, {
    connect: await connectTo(resolved.hosts),
    forks: argv.forks,
    emit: progress.emit,
    signal,
  });
  try {
    return await work({ fleet, selection, opened, progress, color: wantsColor(), signal });
  } finally {
    await rememberNames(namesFile(argv), { fleet: fleet.name, hosts: resolved.hosts, opened });
  }
}

function both(emit: Emit, record: Emit | undefined): Emit {
  if (record === undefined) return emit;
  return (event) => {
    record(event);
    emit(event);
  };
}

function requireFleet(fleet: Fleet | undefined): Fleet {
  if (fleet !== undefined) return fleet;
  throw new NexcageError("INVALID_FILE", "the files name hosts, but no fleet", {
    hint: 'add a document with "kind: Fleet", or name its file with -f',
  });
}

/** Who we are, for the locks that we hold. */
export function lockHolder(now: Date): LockHolder {
  return {
    user: userInfo().username,
    host: hostname(),
    pid: process.pid,
    since: now.toISOString(),
    command: process.argv.slice(2).join(" ").slice(0, 200),
  };
}

/** How the hosts of an inventory are reached, with questions where there is a terminal. */
export async function connectTo(hosts: Host[]): Promise<Connect> {
  const { connector } = await import("../ssh/connect.ts");
  const prompt = process.stdin.isTTY ? { prompt: askSecret } : {};
  return connector({ hosts, home: homedir(), environment: process.env, ...prompt });
}
