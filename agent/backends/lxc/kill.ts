import { hasCode, NexcageError } from "../../../shared/errors.ts";
import { signalNumber } from "../../signals.ts";

/** What a program without a handler of its own ends for: who sends one of them wants the container to end. */
export const endingSignals: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"]);

type Answer = { sent: boolean; result: string };

/** One way to send a signal; gives what came of it, for the log. */
type KillAttempt = { way: string; send: () => Promise<Answer> };

/**
 * Tries one way after another until one has sent the signal, or the guest has stopped, whatever the way's own
 * answer was: what kills the guest may be ended by it.
 * @param log told each attempt
 * @throws {NexcageError} `RUNTIME_FAILED` naming each attempt, where none has
 */
export async function tryInTurn(
  attempts: readonly KillAttempt[],
  {
    what,
    hasStopped,
    log,
  }: { what: string; hasStopped: () => boolean; log: (attempt: { way: string; result: string }) => void },
): Promise<void> {
  const failed: string[] = [];
  for (const { way, send } of attempts) {
    const { sent, result } = await send();
    log({ way, result });
    if (sent || hasStopped()) return;
    failed.push(`${way}: ${result}`);
  }
  throw new NexcageError("RUNTIME_FAILED", `${what} could not be sent: ${failed.join("; ")}`, {
    hint: "run nexcage-agent as root, on the node itself",
  });
}

/** kill(2), by pids of the host. */
export function sendToAll(pids: readonly number[], signal: string): Answer {
  const failed = pids.flatMap((pid) => {
    try {
      process.kill(pid, signalNumber(signal));
      return [];
    } catch (error) {
      const code = ["ESRCH", "EPERM"].find((one) => hasCode(error, one));
      if (code === undefined) throw error;
      return [code];
    }
  });
  return { sent: failed.length < pids.length, result: failed[0] ?? "sent" };
}

/** A command in a guest; 128 and more: it was ended itself, so that its signal has arrived. */
export async function killInside(vmid: number, words: string[]): Promise<Answer> {
  const { execa } = await import("execa");
  const { exitCode, signal, timedOut } = await execa(
    "lxc-attach",
    ["--name", String(vmid), "--clear-env", "--", ...words],
    { cwd: "/", stdin: "ignore", reject: false, timeout: insideTimeoutMs },
  );
  const result = timedOut ? `no answer within ${insideTimeoutMs} ms` : `exit ${exitCode ?? signal}`;
  return { sent: exitCode === 0 || (exitCode !== undefined && exitCode > 128 && exitCode < 255), result };
}

/** In a frozen guest lxc-attach waits for ever. */
const insideTimeoutMs = 5_000;

/** The ways inside a guest, from its own programs: each sends the signal to its init. Pure. */
export function commandsInside(signal: string): string[][] {
  const name = nameInside(signal);
  return [
    ["/usr/bin/kill", "-s", name, "1"],
    ["/bin/kill", "-s", name, "1"],
    ["/bin/sh", "-c", `kill -s ${name} 1`],
  ];
}

/** Every `kill` knows the classic names, and few know `RTMIN+3`. */
function nameInside(signal: string): string {
  return signal.startsWith("SIGRT") ? String(signalNumber(signal)) : signal.replace(/^SIG/, "");
}
