import { command } from "./command.ts";
import { changeOptions } from "./options.ts";
import { outputOptions } from "./output-options.ts";

export const fleetApply = command({
  command: "apply [containers..]",
  describe: "Make the hosts as the files say",
  builder: (yargs) =>
    outputOptions(changeOptions(yargs))
      .positional("containers", {
        type: "string",
        array: true,
        completes: "wanted",
        describe: "web, web-*, db@pve1",
      })
      .option("prune", {
        type: "boolean",
        describe: "remove what left the fleet [default: the fleet's own]",
      }),
  async handler(argv) {
    const { lockHolder, withFleet } = await import("./with-fleet.ts");
    const { planOf, resolveImages, parseLockTimeout } = await import("./planning.ts");
    const { confirmDestruction } = await import("./ask.ts");
    const { openOutputs } = await import("./outputs.ts");
    const { printJson } = await import("./print.ts");
    const { newOperationId } = await import("../operation-id.ts");
    const { apply } = await import("../apply/apply.ts");
    const { exitCodeOf } = await import("../outcome.ts");
    const { requireWithinLimits } = await import("../plan/guard.ts");
    const { changing, destructive } = await import("../plan/model.ts");
    const { planText } = await import("../report/plan.ts");
    const { resultsJson, resultsText } = await import("../report/results.ts");
    using outputs = await openOutputs(argv, process.env);
    return await withFleet({ ...argv, record: outputs.record }, async (context) => {
      const { fleet, opened, progress, color, signal } = context;
      const { desired, images } = await resolveImages(context);
      const outcome = await apply({
        fleet,
        opened,
        desired,
        images,
        holder: lockHolder(new Date()),
        lockWaitMs: parseLockTimeout(argv["lock-timeout"]) ?? fleet.lockWaitMs,
        plan: (observed) => planOf(context, { desired, observed, prune: argv.prune ?? fleet.prune }),
        async confirm(plan) {
          progress.pause();
          if (argv.output === "text") process.stdout.write(planText(plan, { color }));
          requireWithinLimits(plan, fleet.limits);
          const destroyed = plan.changes.filter(({ kind }) => destructive.has(kind)).length;
          if (destroyed > 0)
            await confirmDestruction(`delete or replace ${destroyed} of ${fleet.name}'s containers`, {
              yes: argv.yes,
              signal,
            });
        },
        newOperationId,
        emit: progress.emit,
        signal,
      });
      progress.pause();
      const changed = outcome.plan.changes.some(({ kind }) => changing.has(kind));
      if (argv.output === "json") printJson(resultsJson(outcome, { fleet: fleet.name }));
      else if (changed || opened.unreachable.size > 0)
        process.stdout.write(`\n${resultsText(outcome, { color })}`);
      await outputs.finish({ command: "apply", fleet: fleet.name, ...outcome });
      return exitCodeOf(outcome, fleet.onUnreachable);
    });
  },
});
