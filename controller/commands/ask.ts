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
  const readline = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await readline.question(`This will ${what}. Go on? [y/N] `, { signal });
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    readline.close();
  }
  throw new NexcageError("INTERRUPTED", "nothing was changed");
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
