import { NexcageError } from "../../shared/errors.ts";
import { limits, mark } from "../../shared/protocol.ts";
import type { AgentChannel } from "../session.ts";
import { untilAborted } from "./abort.ts";
import type { Secret } from "./secret.ts";

export type SudoOptions = {
  /** Starts words as they are, in whatever way the host is reached. */
  start: (words: string[], options: { signal: AbortSignal }) => Promise<AgentChannel>;
  host: string;
  /** Undefined where there is nobody to ask. Called at most once. */
  password: (options: { signal: AbortSignal }) => Promise<Secret | undefined>;
  signal: AbortSignal;
};

/** sudo asks with these words, which nothing else prints. */
const prompt = "[nexcage asks sudo for a password]";
/** LDAP behind PAM may be slow; a wrong password alone takes 2 s. */
const startTimeoutMs = 20_000;

/** sudo's texts are what tells its failures apart, so they must be English; and still UTF-8 for the agent. */
const english = ["env", "LC_ALL=C.UTF-8"];

/**
 * Starts an agent as root by sudo, first without a password. Returns when the agent has spoken, because until
 * then what is written is sudo's to read: a wrong password makes it eat the lines that follow.
 * @throws {NexcageError} `BECOME_FAILED`, `AGENT_MISSING`, `CONNECTION_LOST`
 */
export async function startBySudo(words: string[], options: SudoOptions): Promise<AgentChannel> {
  const { start, host, password, signal } = options;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(startTimeoutMs)]);
  const first = await start([...english, "sudo", "-n", "--", ...words], { signal });
  const without = await untilItSpeaks(first, { host, signal: limit });
  if (without.kind !== "password-wanted") return settle(without, { channel: first, host, words });

  const secret = await password({ signal });
  if (secret === undefined)
    throw new NexcageError(
      "BECOME_FAILED",
      `sudo on ${host} wants a password, and there is no terminal to ask`,
      {
        hint: `set NEXCAGE_BECOME_PASSWORD, or allow it there (visudo): USER ALL=(root) NOPASSWD: ${words[0]}`,
      },
    );
  const second = await start([...english, "sudo", "-k", "-S", "-p", prompt, "--", ...words], { signal });
  const withPassword = await untilItSpeaks(second, {
    host,
    secret,
    signal: AbortSignal.any([signal, AbortSignal.timeout(startTimeoutMs)]),
  });
  return settle(withPassword, { channel: second, host, words });
}

type Start =
  | { kind: "spoke" }
  | { kind: "password-wanted" | "password-refused" }
  | { kind: "ended"; stderr: string };

function settle(
  started: Start,
  { channel, host, words }: { channel: AgentChannel; host: string; words: string[] },
): AgentChannel {
  if (started.kind === "spoke") return channel;
  if (started.kind === "ended") {
    const error = sudoError(started.stderr, { host, words });
    if (error === undefined) return channel; // the agent's own end: who reads the channel tells it
    throw error;
  }
  channel.destroy();
  throw new NexcageError("BECOME_FAILED", `sudo on ${host} refused the password`, {
    hint: `it is the login user's own; by hand: ssh -t ${host} sudo -v`,
  });
}

/**
 * Reads what comes until it is the agent's mark, and puts it back for who reads next. Answers sudo's prompt
 * with the secret, once: sudo asking again means that it was wrong.
 */
async function untilItSpeaks(
  channel: AgentChannel,
  { host, secret, signal }: { host: string; secret?: Secret; signal: AbortSignal },
): Promise<Start> {
  const { stdin, stdout, stderr } = channel;
  const started = Promise.withResolvers<Start>();
  let output = Buffer.alloc(0);
  let said = Buffer.alloc(0);
  let answered = false;
  const onOutput = (chunk: Buffer): void => {
    output = Buffer.concat([output, chunk]);
    if (output.includes(mark) || output.length > limits.preambleBytes) started.resolve({ kind: "spoke" });
  };
  const onSaid = (chunk: Buffer): void => {
    said = Buffer.concat([said, chunk]).subarray(-limits.preambleBytes);
    if (secret === undefined) return;
    const prompts = said.toString().split(prompt).length - 1;
    if (prompts > 1) started.resolve({ kind: "password-refused" });
    else if (prompts === 1 && !answered) {
      answered = true;
      stdin.write(`${secret.reveal()}\n`);
    }
  };
  const onStdinError = (): void => {}; // it has ended, which `exited` tells
  stdin.on("error", onStdinError);
  stdout.on("data", onOutput);
  stderr.on("data", onSaid);
  channel.exited.then(({ error }) => {
    if (error !== undefined) started.reject(error);
    const text = said.toString();
    if (secret === undefined && wantsPassword.test(text)) started.resolve({ kind: "password-wanted" });
    started.resolve({ kind: "ended", stderr: text });
  }, started.reject);
  try {
    return await untilAborted(started.promise, signal);
  } catch (error) {
    channel.destroy();
    if (error instanceof Error && error.name === "TimeoutError")
      throw new NexcageError(
        "BECOME_FAILED",
        `sudo on ${host} did not start the agent within ${startTimeoutMs / 1_000} s`,
        {
          hint: `by hand: ssh -t ${host} sudo -v`,
        },
      );
    throw error;
  } finally {
    for (const [stream, listener, read] of [
      [stdout, onOutput, output],
      [stderr, onSaid, withoutPrompt(said)],
    ] as const) {
      stream.off("data", listener).pause();
      if (read.length > 0 && !stream.readableEnded) stream.unshift(read);
    }
  }
}

const wantsPassword = /a password is required|a terminal is required|no tty present/;

function withoutPrompt(said: Buffer): Buffer {
  return Buffer.from(said.toString().replaceAll(prompt, ""));
}

/** What sudo (1.9) says when it does not start what it should; undefined where the words are not its own. */
function sudoError(
  stderr: string,
  { host, words }: { host: string; words: string[] },
): NexcageError | undefined {
  const [program = ""] = words;
  const line = (pattern: RegExp): string | undefined =>
    stderr
      .split("\n")
      .find((text) => pattern.test(text))
      ?.trim();
  const missing = line(/^sudo: .+: command not found/);
  if (missing !== undefined)
    return new NexcageError("AGENT_MISSING", `${host} has no agent at ${program}: ${missing}`, {
      hint: "install nexcage-agent there, or say where it is: agent: {path: …} in the inventory",
    });
  if (line(/sudo.*(not found|No such file)/) !== undefined)
    return new NexcageError("BECOME_FAILED", `${host} has no sudo`, {
      hint: "install it there, or log in as root: ssh: {user: root} and become: none",
    });
  const refusal = line(
    /not in the sudoers|may not run sudo|not allowed to (execute|run)|must have a tty|incorrect password|^sudo: /,
  );
  if (refusal === undefined) return undefined;
  return new NexcageError("BECOME_FAILED", `sudo on ${host} refuses: ${refusal.replace(/^sudo: /, "")}`, {
    hint: `allow it there (visudo): USER ALL=(root) NOPASSWD: ${program}`,
  });
}
