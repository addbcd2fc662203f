// The programs under pct: mkfs, mount, tar, lxc-start; run as its worker runs them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Failure, Interrupted } from "./failure.ts";

export type RunOptions = {
  /** The worker's: TERM reached its process group. */
  signal?: AbortSignal;
  /** Keeps a TERM to the group from the program, and so loses it: as it was recorded for mkfs and mount. */
  deaf?: boolean;
  /** Where its output goes; default to ours. */
  output?: "inherit" | "capture";
  /** A file descriptor. */
  stdin?: number | "ignore";
};

export type RunResult = { code: number; output: string };

/** Runs a program to its end, whatever that is. */
export async function runAnyway(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { deaf = false, output = "inherit", stdin = "ignore" } = options;
  const sink = output === "capture" ? "pipe" : "inherit";
  const child = spawn(program, args, {
    stdio: [stdin, sink, output === "capture" ? "pipe" : "inherit"],
    detached: deaf,
    env: { ...process.env, LC_ALL: "C" },
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
  const [code, signalName] = await once(child, "close");
  if (!deaf && options.signal?.aborted) throw new Interrupted(`command '${quote([program, ...args])}'`);
  return { code: typeof code === "number" ? code : signalName === null ? 1 : 255, output: text };
}

/** Runs a program that must end well. @throws {Failure} `command '…' failed: exit code N` */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, output } = await runAnyway(program, args, options);
  if (code !== 0) throw new Failure(`command '${quote([program, ...args])}' failed: exit code ${code}`);
  return output;
}

/** A command line as pct writes it in messages. */
export function quote(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(" ");
}
