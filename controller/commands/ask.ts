import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";
import { NexcageError } from "../../shared/errors.ts";

/**
 * Asks before something is destroyed, on a terminal; elsewhere only `--yes` will do.
 * @param what it will do, as in `delete db@pve1`
 * @throws {NexcageError} `CONFIRMATION_NEEDED` without a terminal, `INTERRUPTED` when the answer is no
 */
export async function confirmDestruction(
  what: string,
  { yes, signal }: { yes: boolean; signal: AbortSignal },
): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new NexcageError(
      "CONFIRMATION_NEEDED",
      `to ${what} needs a yes, and there is no terminal to ask on`,
      {
        hint: "look at the plan, then run it with --yes",
      },
    );
  if (await askYesNo(`This will ${what}. Go on?`, { signal })) return;
  throw new NexcageError("INTERRUPTED", "nothing was changed");
}

/** Asks on the terminal; all but a yes is a no. */
export async function askYesNo(question: string, { signal }: { signal: AbortSignal }): Promise<boolean> {
  return /^y(es)?$/i.test(await askLine(`${question} [y/N] `, { signal }));
}

/** Asks on the terminal for a line. */
export async function askLine(question: string, { signal }: { signal: AbortSignal }): Promise<string> {
  const readline = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await readline.question(question, { signal })).trim();
  } finally {
    readline.close();
  }
}

/** Asks on the terminal for what must not show: a passphrase, sudo's password. */
export async function askSecret(question: string): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  process.stderr.write(question);
  const readline = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await readline.question("");
  } finally {
    readline.close();
    process.stderr.write("\n");
  }
}
