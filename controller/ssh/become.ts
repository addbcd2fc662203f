import { PassThrough, type Readable } from "node:stream";
import { NexcageError } from "../../shared/errors.ts";
import { limits, mark } from "../../shared/protocol.ts";
import { untilAborted } from "../abort.ts";
import type { AgentChannel } from "../session.ts";
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

/** Said when all else works. */
const warning = /unable to resolve host/;

/**
 * Starts an agent as root by sudo, first without a password. Returns when the agent has spoken, because until
 * then what is written is sudo's to read: a wrong password makes it eat the lines that follow.
 * @throws {NexcageError} `BECOME_FAILED`, `AGENT_MISSING`, `CONNECTION_LOST`
 */
export async function startBySudo(words: string[], options: SudoOptions): Promise<AgentChannel> {
  const { start, host, password, signal } = options;
  const without = await tryStart([...english, "sudo", "-n", "--", ...words], options);
  if (without.kind !== "password-wanted") return settle(without, { host, words });

  const secret = await password({ signal });
  if (secret === undefined)
    throw new NexcageError(
      "BECOME_FAILED",
      `sudo on ${host} wants a password, and there is no terminal to ask`,
      {
        hint: `set NEXCAGE_BECOME_PASSWORD, or allow it there (visudo): USER ALL=(root) NOPASSWD: ${words[0]}`,
      },
    );
  const sudo = ["sudo", "-k", "-S", "-p", prompt, "--"];
  return settle(await tryStart([...english, ...sudo, ...words], { start, host, secret, signal }), {
    host,
    words,
  });
}

type Start =
  | { kind: "spoke"; channel: AgentChannel }
  | { kind: "ended"; channel: AgentChannel; stderr: string }
  | { kind: "password-wanted" }
  | { kind: "password-refused" };

function settle(started: Start, { host, words }: { host: string; words: string[] }): AgentChannel {
  switch (started.kind) {
    case "spoke":
      return started.channel;
    case "ended": {
      const error = sudoError(started.stderr, { host, words });
      if (error === undefined) return started.channel; // the agent's own end: who reads the channel tells it
      throw error;
    }
    case "password-wanted":
    case "password-refused":
      throw new NexcageError("BECOME_FAILED", `sudo on ${host} refused the password`, {
        hint: `it is the login user's own; by hand: ssh -t ${host} sudo -v`,
      });
    default:
      return started satisfies never;
  }
}

/**
 * Starts words and reads until the agent's mark, which is put back for who reads next. Answers sudo's prompt
 * with the secret, once: sudo asking again means that it was wrong.
 */
async function tryStart(
  words: string[],
  options: Pick<SudoOptions, "start" | "host" | "signal"> & { secret?: Secret },
): Promise<Start> {
  const { start, host, secret, signal } = options;
  const channel = await start(words, { signal });
  const { stdin, stdout, stderr } = channel;
  const reached = Promise.withResolvers<Start["kind"]>();
  let output = Buffer.alloc(0);
  let said = Buffer.alloc(0);
  let answered = false;
  const onOutput = (chunk: Buffer): void => {
    output = Buffer.concat([output, chunk]);
    if (output.includes(mark) || output.length > limits.preambleBytes) reached.resolve("spoke");
  };
  const onSaid = (chunk: Buffer): void => {
    said = Buffer.concat([said, chunk]).subarray(-limits.preambleBytes);
    if (secret === undefined) return;
    const prompts = said.toString().split(prompt).length - 1;
    if (prompts > 1) reached.resolve("password-refused");
    else if (prompts === 1 && !answered) {
      answered = true;
      stdin.write(`${secret.reveal()}\n`);
    }
  };
  stdin.on("error", () => {}); // that it has ended is told by `exited`
  stdout.on("data", onOutput);
  stderr.on("data", onSaid);
  channel.exited.then(({ error }) => {
    if (error !== undefined) reached.reject(error);
    reached.resolve(
      secret === undefined && wantsPassword.test(said.toString()) ? "password-wanted" : "ended",
    );
  }, reached.reject);
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(startTimeoutMs)]);
    const kind = await untilAborted(reached.promise, limit);
    stdout.off("data", onOutput).pause();
    stderr.off("data", onSaid).pause();
    const ownWords = said.toString().replaceAll(prompt, "");
    const whole = {
      ...channel,
      stdout: putBack(stdout, output),
      stderr: putBack(stderr, Buffer.from(ownWords)),
    };
    if (kind === "spoke") return { kind, channel: whole };
    if (kind === "ended") return { kind, channel: whole, stderr: ownWords };
    channel.destroy();
    return { kind };
  } catch (error) {
    channel.destroy();
    if (signal.aborted || !(error instanceof Error && error.name === "TimeoutError")) throw error;
    throw new NexcageError(
      "BECOME_FAILED",
      `sudo on ${host} did not start the agent within ${startTimeoutMs / 1_000} s`,
      { hint: `by hand: ssh -t ${host} sudo -v` },
    );
  }
}

/** A stream of what was read of another, and then the rest of it; it flows as soon as someone listens. */
function putBack(stream: Readable, read: Buffer): Readable {
  const whole = new PassThrough();
  if (read.length > 0) whole.write(read);
  if (stream.readableEnded) return whole.end();
  stream.once("close", () => whole.end()); // a stream that is destroyed has no `end`
  return stream.pipe(whole);
}

const wantsPassword = /a password is required|a terminal is required|no tty present/;

/** What sudo (1.9) says when it does not start what it should; undefined where the words are not its own. */
function sudoError(
  stderr: string,
  { host, words }: { host: string; words: string[] },
): NexcageError | undefined {
  const [program = ""] = words;
  const line = (pattern: RegExp): string | undefined =>
    stderr
      .split("\n")
      .find((text) => pattern.test(text) && !warning.test(text))
      ?.trim();
  const missing = line(/^sudo: .+: command not found/);
  if (missing !== undefined)
    return new NexcageError("AGENT_MISSING", `${host} has no agent at ${program}: ${missing}`, {
      hint: `nexcage fleet bootstrap --limit ${host}; or say where it is: agent: {path: …} in the inventory`,
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
