import { version } from "../shared/version.ts";

/* Parses as little as it can before it knows what is asked: what is not imported need not be loaded. */

async function main(args: string[]): Promise<void> {
  if (args.length === 1 && (args[0] === "--version" || args[0] === "version")) {
    process.stdout.write(`nexcage-agent ${version}\n`);
    return;
  }
  try {
    // The one that every fleet command waits for, on each host, starts without the command line's parser.
    const { serveArguments } = await import("./commands/serve-arguments.ts");
    const globals = serveArguments(args);
    if (globals !== undefined) {
      const { serveStdio } = await import("./commands/serve.ts");
      await serveStdio(globals);
      return;
    }
    const { runCommand } = await import("./commands/run.ts");
    await runCommand(args);
  } catch (error) {
    const { reportError } = await import("./commands/report-error.ts");
    process.exitCode = reportError(error, args);
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`nexcage-agent: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
});
