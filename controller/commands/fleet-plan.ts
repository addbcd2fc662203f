import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";
import { outputOptions } from "./output-options.ts";

export const fleetPlan = command({
  command: "plan [containers..]",
  describe: "Show what apply would do, and change nothing",
  builder: (yargs) =>
    outputOptions(fleetOptions(yargs))
      .positional("containers", {
        type: "string",
        array: true,
        completes: "wanted",
        describe: "web, web-*, db@pve1",
      })
      .option("prune", { type: "boolean", describe: "also what left the fleet [default: the fleet's own]" })
      .option("detailed-exitcode", {
        type: "boolean",
        default: false,
        describe: "exit 2 when there are changes",
      }),
  async handler(argv) {
    const { withFleet } = await import("./with-fleet.ts");
    const { lookExitCode, planOf, resolveImages } = await import("./planning.ts");
    const { listContainers } = await import("../list.ts");
    const { planJson, planText } = await import("../report/plan.ts");
    const { changing } = await import("../plan/model.ts");
    const { openOutputs } = await import("./outputs.ts");
    const { printJson } = await import("./print.ts");
    using outputs = await openOutputs(argv, process.env);
    return await withFleet({ ...argv, record: outputs.record }, async (context) => {
      const { fleet, opened, signal, color } = context;
      const { desired } = await resolveImages(context);
      const observed = await listContainers(opened, { signal });
      const plan = planOf(context, { desired, observed, prune: argv.prune ?? fleet.prune });
      context.progress.pause();
      if (argv.output === "json") printJson(planJson(plan));
      else process.stdout.write(planText(plan, { color }));
      await outputs.finish({
        command: "plan",
        fleet: fleet.name,
        plan,
        changes: [],
        unreachable: opened.unreachable,
      });
      const look = lookExitCode(context);
      return look === 0 && argv["detailed-exitcode"] && plan.changes.some(({ kind }) => changing.has(kind))
        ? 2
        : look;
    });
  },
});
