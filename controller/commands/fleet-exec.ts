import { command } from "./command.ts";
import { fleetOptions } from "./options.ts";

export const fleetExec = command({
  command: "exec <container> [command..]",
  describe: "Run a command in a container: nexcage fleet exec web-1 -- CMD ARGS",
  builder: (yargs) =>
    fleetOptions(yargs)
      .positional("container", {
        type: "string",
        demandOption: true,
        completes: "containers",
        describe: "web-1, or db@pve1",
      })
      .positional("command", { type: "string", array: true, describe: "the command and its arguments" })
      .option("tty", {
        alias: "t",
        type: "boolean",
        describe: "with a terminal [default: when stdin and stdout are one]",
      })
      .option("env", {
        alias: "e",
        type: "string",
        array: true,
        nargs: 1,
        requiresArg: true,
        describe: "NAME=VALUE, several times",
      })
      .option("user", { alias: "u", type: "string", requiresArg: true, describe: "user[:group]" })
      .option("workdir", { alias: "w", type: "string", requiresArg: true, describe: "where it runs" })
      .epilogue("The exit status is that of the command where it has run.")
      .parserConfiguration({ "populate--": true }),
  async handler(argv) {
    const { withFleet } = await import("./with-fleet.ts");
    const { parseEnvironment, selectedContainers } = await import("./selected.ts");
    const { NexcageError } = await import("../../shared/errors.ts");
    const { listContainers } = await import("../list.ts");
    const { execInContainer } = await import("../exec.ts");
    const words = [...(argv.command ?? []), ...stringsOf(argv["--"])];
    if (words.length === 0)
      throw new NexcageError("USAGE", "exec needs a command", {
        hint: `nexcage fleet exec ${argv.container} -- sh`,
      });
    return await withFleet({ ...argv, containers: [argv.container], mayHaveLeft: true }, async (context) => {
      const { opened, progress, signal } = context;
      const observed = await listContainers(opened, { signal });
      const [target, other] = selectedContainers(context, observed);
      if (target === undefined || other !== undefined)
        throw new NexcageError(
          "USAGE",
          `exec needs one container; ${JSON.stringify(argv.container)} selects ${other === undefined ? "none that is there" : "several"}`,
          { hint: "name it, and its host where two have it: web-1@pve1" },
        );
      progress.pause();
      return await execInContainer(target, {
        command: words,
        environment: parseEnvironment(argv.env ?? []),
        user: argv.user,
        workingDir: argv.workdir,
        tty: argv.tty ?? (process.stdin.isTTY === true && process.stdout.isTTY === true),
        stdin: process.stdin,
        stdout: process.stdout,
        stderr: process.stderr,
        signal,
      });
    });
  },
});

function stringsOf(words: unknown): string[] {
  return Array.isArray(words) ? words.map(String) : [];
}
