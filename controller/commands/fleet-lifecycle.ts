import type { ChangeKind } from "../plan/model.ts";
import { command } from "./command.ts";
import { changeOptions } from "./options.ts";

/*
 * `fleet start`, `stop`, `restart`, `pause`, `resume` and `delete`: one kind of change to each selected container that this fleet owns,
 * whatever the files say of it now.
 */
export const fleetStart = lifecycle("start", "Start containers that are stopped");
export const fleetStop = lifecycle(
  "stop",
  "Stop containers: their stop signal, then SIGKILL after the grace period",
);
export const fleetRestart = lifecycle("restart", "Stop containers as stop does, and start them");
export const fleetPause = lifecycle("pause", "Freeze all that runs in containers");
export const fleetResume = lifecycle("resume", "Let containers that are paused go on");
export const fleetDelete = lifecycle("delete", "Delete containers of this fleet, with their files and logs");

function lifecycle(
  kind: Extract<ChangeKind, "start" | "stop" | "restart" | "pause" | "resume" | "delete">,
  describe: string,
) {
  return command({
    command: `${kind} <containers..>`,
    describe,
    builder: (yargs) =>
      changeOptions(yargs).positional("containers", {
        type: "string",
        array: true,
        demandOption: true,
        completes: "containers",
        describe: "web, web-*, db@pve1, '*'",
      }),
    async handler(argv) {
      const { lockHolder, withFleet } = await import("./with-fleet.ts");
      const { parseLockTimeout } = await import("./planning.ts");
      const { nameWithVolumes, selectedContainers } = await import("./selected.ts");
      const { confirmDestruction } = await import("./ask.ts");
      const { printJson } = await import("./print.ts");
      const { newOperationId } = await import("../operation-id.ts");
      const { listContainers } = await import("../list.ts");
      const { reportEarlyExits } = await import("../apply/early-exits.ts");
      const { lockHosts } = await import("../apply/lock.ts");
      const { runChanges } = await import("../apply/run.ts");
      const { exitCodeOf } = await import("../outcome.ts");
      const { resultsJson, resultsText } = await import("../report/results.ts");
      return await withFleet({ ...argv, mayHaveLeft: true }, async (context) => {
        const { fleet, opened, progress, color, signal } = context;
        const { emit } = progress;
        const waitMs = parseLockTimeout(argv["lock-timeout"]) ?? fleet.lockWaitMs;
        await lockHosts(opened, { fleet: fleet.name, holder: lockHolder(new Date()), waitMs, emit, signal });
        const selected = selectedContainers(context, await listContainers(opened, { signal }));
        const changes = selected.map(({ host, container }) => ({
          kind,
          host,
          id: container.id,
          reason: "asked for",
          fields: [],
          after: [],
        }));
        progress.pause();
        if (kind === "delete" && changes.length > 0)
          await confirmDestruction(`delete ${selected.map(nameWithVolumes).join(", ")}`, {
            yes: argv.yes,
            signal,
          });
        const done = await runChanges(changes, {
          fleet: fleet.name,
          opened,
          newOperationId,
          emit,
          signal,
        });
        const outcome = {
          changes: signal.aborted ? done : await reportEarlyExits(done, { opened, emit, signal }),
          unreachable: opened.unreachable,
          interrupted: signal.aborted,
        };
        progress.pause();
        if (argv.output === "json") printJson(resultsJson(outcome, { fleet: fleet.name }));
        else process.stdout.write(resultsText(outcome, { color }));
        return exitCodeOf(outcome, fleet.onUnreachable);
      });
    },
  });
}
