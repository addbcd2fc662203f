import { exitAtOnce } from "../shared/exit.ts";
import { version } from "../shared/version.ts";

/* Parses as little as it can before it knows what is asked: what is not imported need not be loaded. */

async function main(args: string[]): Promise<number> {
  if (args.length === 1 && (args[0] === "--version" || args[0] === "version")) {
    process.stdout.write(`nexcage-agent ${version}\n`);
    return 0;
  }
  try {
    // The one that every fleet command waits for, on each host, starts without the command line's parser.
    const { serveArguments } = await import("./commands/serve-arguments.ts");
    const globals = serveArguments(args);
    if (globals !== undefined) {
      const { serveStdio } = await import("./commands/serve.ts");
      await serveStdio(globals);
      return 0;
    }
    const { runCommand } = await import("./commands/command-line.ts");
    await runCommand(args);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const { reportError } = await import("./commands/report-error.ts");
    return reportError(error, args);
  }
}

main(process.argv.slice(2))
  .then(exitAtOnce)
  .catch((error: unknown) => {
    process.stderr.write(`nexcage-agent: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  });
