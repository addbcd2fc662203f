import { exitCodes } from "../../shared/errors.ts";
import type { HostOutcome } from "../bootstrap/on-hosts.ts";
import type { Connect } from "../fleet.ts";
import type { Host } from "../inventory/model.ts";
import { select } from "../inventory/select.ts";
import { exitCodeOf } from "../outcome.ts";
import { openProgress, type Progress } from "../report/progress.ts";
import { interrupted } from "./interrupt.ts";
import { loadFiles } from "./load-files.ts";
import { connectTo, type FleetArguments, wantsColor } from "./with-fleet.ts";

export type HostsContext = {
  hosts: Host[];
  connect: Connect;
  progress: Progress;
  color: boolean;
  signal: AbortSignal;
};

/** Reads the files and selects the hosts, for what needs neither a fleet nor an agent. */
export async function withHosts<T>(
  argv: FleetArguments,
  work: (context: HostsContext) => Promise<T>,
): Promise<T> {
  const signal = interrupted();
  const resolved = await loadFiles(argv);
  const { hosts } = select(resolved, { limit: argv.limit, containers: [] });
  using progress = openProgress(process.stderr, {
    quiet: argv.output === "json",
    verbose: argv.verbose,
    format: argv["log-format"],
  });
  return await work({
    hosts,
    connect: await connectTo(resolved.hosts),
    progress,
    color: wantsColor(),
    signal,
  });
}

/** The exit status of work on hosts: as that of changes, where a host that was not reached is none. */
export function exitCodeOfHosts(
  outcomes: HostOutcome<unknown>[],
  { signal }: { signal: AbortSignal },
): number {
  const isUnreachable = (outcome: HostOutcome<unknown>): boolean =>
    outcome.kind === "failed" && outcome.error.exitCode === exitCodes.HOST_UNREACHABLE;
  const unreachable = new Map(
    outcomes.flatMap((outcome) =>
      outcome.kind === "failed" && isUnreachable(outcome) ? [[outcome.host, outcome.error] as const] : [],
    ),
  );
  const changes = outcomes.filter((outcome) => !isUnreachable(outcome));
  return exitCodeOf({ changes, unreachable, interrupted: signal.aborted }, "fail");
}
