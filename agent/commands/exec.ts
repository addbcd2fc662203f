import { pipeline } from "node:stream/promises";
import { NexcageError } from "../../shared/errors.ts";
import { parseContainerId, quoteForMessage } from "../../shared/ids.ts";
import type { ExecSession } from "../backends/backend.ts";
import { command } from "./command.ts";
import { refuseOciOptions, withOciProcess } from "./oci-options.ts";
import { openAgent } from "./open.ts";

export const exec = command({
  command: "exec <id>",
  describe: "Run a command in a running container: exec ID -- COMMAND ARGUMENT…",
  builder: (yargs) =>
    withOciProcess(yargs)
      .positional("id", {
        type: "string",
        demandOption: true,
        completes: "containers",
        describe: "container id",
      })
      .option("tty", { alias: "t", type: "boolean", default: false, describe: "with a terminal of its own" })
      .option("env", {
        alias: "e",
        type: "string",
        array: true,
        nargs: 1,
        requiresArg: true,
        describe: "NAME=value",
      })
      .option("user", { alias: "u", type: "string", requiresArg: true, describe: "user or uid, with :group" })
      .option("workdir", {
        alias: ["w", "cwd"],
        type: "string",
        requiresArg: true,
        describe: "folder in the container",
      })
      .epilogue("The exit status is that of the command where it has run.")
      .example("$0 exec web -- cat /etc/hostname", ""),
  async handler({ id, tty, env, user, workdir, ...globals }) {
    refuseOciOptions(globals, "exec");
    const containerId = parseContainerId(id);
    const words = commandWords(globals);
    await using opened = await openAgent(globals);
    await using session = await opened.runtime.exec(
      containerId,
      {
        command: words,
        ...(env !== undefined && { environment: parseEnvironment(env) }),
        user,
        workingDir: workdir,
        ...(tty && { tty: terminalSize() }),
      },
      opened,
    );
    await using _terminal = tty ? passTerminal(session) : undefined;
    process.exitCode = await passThrough(session, opened);
  },
});

/** What follows `--`, which yargs keeps apart. */
function commandWords(parsed: object): string[] {
  const words = "--" in parsed && Array.isArray(parsed["--"]) ? parsed["--"].map(String) : [];
  if (words.length > 0) return words;
  throw new NexcageError("USAGE", "exec needs a command, after --", {
    hint: "nexcage-agent exec ID -- ls -l",
  });
}

function parseEnvironment(lines: string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf("=");
      if (at > 0) return [line.slice(0, at), line.slice(at + 1)];
      throw new NexcageError("USAGE", `--env ${quoteForMessage(line)} has no "="`, {
        hint: "--env NAME=value",
      });
    }),
  );
}

/** Passes the three streams; gives the process's own exit code, or 128 and its signal. */
async function passThrough(session: ExecSession, { signal }: { signal: AbortSignal }): Promise<number> {
  const input = new AbortController();
  // It may end while our stdin is open and silent, and may close its own before that.
  const sending = pipeline(process.stdin, session.stdin, { signal: input.signal }).catch(() => {});
  const outputs = [pipeline(session.stdout, process.stdout, { end: false, signal })];
  if (session.stderr !== undefined)
    outputs.push(pipeline(session.stderr, process.stderr, { end: false, signal }));
  await Promise.all(outputs);
  const end = await session.exit;
  input.abort();
  await sending;
  process.stdin.destroy();
  return end.exitCode ?? 128 + (end.signal ?? 0);
}

function terminalSize(): { rows: number; columns: number } {
  return { rows: process.stdout.rows || 24, columns: process.stdout.columns || 80 };
}

/** Keys go to the container as they are pressed, and it learns of a new size of our terminal. */
function passTerminal(session: ExecSession): AsyncDisposable {
  const isTerminal = process.stdin.isTTY;
  if (isTerminal) process.stdin.setRawMode(true);
  const onResize = (): void => {
    session.resize(terminalSize()).catch(() => {}); // it has ended just now
  };
  process.stdout.on("resize", onResize);
  return {
    async [Symbol.asyncDispose]() {
      process.stdout.off("resize", onResize);
      if (isTerminal) process.stdin.setRawMode(false);
    },
  };
}
