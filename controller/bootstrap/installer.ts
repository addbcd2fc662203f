import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { type ErrorCode, NexcageError } from "../../shared/errors.ts";
import { mark } from "../../shared/protocol.ts";
import { untilAborted } from "../abort.ts";
import type { AgentChannel } from "../session.ts";
import type { Transport } from "../transport.ts";
import { type AgentBuild, sha256 } from "./agent-build.ts";
import { readInstallScript } from "./along.ts";
import { type HostFacts, parseFacts } from "./facts.ts";

type Waiting = { signal: AbortSignal };

/** Where a host keeps its agents. */
export const installRoot = "/opt/nexcage";

/** Runs the script that follows on stdin: MARK BYTES and the script's own arguments. sudo is done once the mark is out. */
const readScript = 'printf "%s\\n" "$1"; bytes=$2; shift 2; eval "$(head -c "$bytes")"';

/** What the login shell and sudo print may come before it. */
const ready = "install.sh: ready";
const maximumPreamble = 64 * 1024;

/** The code of what `install.sh` says is wrong, and what to do about it. */
const problems: Record<string, { code: ErrorCode; hint?: (host: string) => string }> = {
  "not-root": {
    code: "BECOME_FAILED",
    hint: () => "say become: sudo in the inventory, or ssh: {user: root}",
  },
  locked: {
    code: "LOCK_HELD",
    hint: () => "wait for its end; where its controller is gone, end its process there",
  },
  unwritable: { code: "UPLOAD_FAILED", hint: (host) => `is its file system read-only? ssh ${host} mount` },
  unpack: { code: "UPLOAD_FAILED" },
  damaged: { code: "UPLOAD_FAILED", hint: () => "run it again; nothing has changed there" },
  unsigned: {
    code: "SIGNATURE_INVALID",
    hint: () => "sign the build: ssh-keygen -Y sign -n nexcage-agent -f KEY SHA256SUMS",
  },
  taken: {
    code: "REFUSED",
    hint: () => "move it away; or say agent: {path: /opt/nexcage/nexcage-agent} in the inventory",
  },
  gone: { code: "AGENT_MISSING", hint: () => "run it again" },
  "no-sudo": { code: "BECOME_FAILED", hint: () => "install it there: apt-get install sudo" },
};

/**
 * `install.sh` at work on a host, from its first line to its end: one program, one lock. Each method is one of its
 * requests, and throws what it finds wrong.
 */
export class Installer implements AsyncDisposable {
  readonly #host: string;
  readonly #channel: AgentChannel;
  #pending = Buffer.alloc(0);
  #stderr = "";
  #ended = false;
  /** Settles when more has come, or the end. */
  #more = Promise.withResolvers<void>();

  private constructor(host: string, channel: AgentChannel) {
    this.#host = host;
    this.#channel = channel;
    const wake = (): void => {
      this.#more.resolve();
      this.#more = Promise.withResolvers();
    };
    channel.stdout.on("data", (chunk: Buffer) => {
      this.#pending = Buffer.concat([this.#pending, chunk]);
      wake();
    });
    const end = (): void => {
      this.#ended = true;
      wake();
    };
    channel.stdout.once("end", end).once("close", end).on("error", end);
    channel.stdin.on("error", () => {}); // that it has ended is seen where its answer is read
    channel.stderr.on("error", () => {});
    channel.stderr.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-4_096);
    });
  }

  /**
   * Starts `install.sh` as root. It goes over stdin: no file of ours has to be on the host before.
   * @throws {NexcageError} `BECOME_FAILED`, `LOCK_HELD`, `AGENT_GARBAGE` where something else answers
   */
  static async start(
    transport: Transport,
    { host, agentPath, signal }: { host: string; agentPath: string } & Waiting,
  ): Promise<Installer> {
    const script = readInstallScript();
    const words = ["sh", "-c", readScript, "nexcage-bootstrap", mark.trim(), String(script.length)];
    const channel = await transport
      .openAgent([...words, installRoot, agentPath], { signal })
      .catch((error: unknown) => {
        throw aboutSudo(error);
      });
    const installer = new Installer(host, channel);
    try {
      channel.stdin.write(script);
      await installer.#greeted({ signal });
      return installer;
    } catch (error) {
      await installer[Symbol.asyncDispose]();
      throw error;
    }
  }

  async look({ signal }: Waiting): Promise<HostFacts> {
    const text = await this.#ask(["look"], { signal });
    try {
      return parseFacts(text);
    } catch (cause) {
      throw new NexcageError("AGENT_GARBAGE", `${this.#host} says of itself what cannot be read: ${text}`, {
        cause,
      });
    }
  }

  /** Whether a build that is there has all its files as they were sent. */
  async isWhole(build: string, { signal }: Waiting): Promise<boolean> {
    const { word } = await this.#request(["verify", build], { signal });
    return word === "ok";
  }

  /**
   * Sends a build, which is checked there and put beside the others. Nothing uses it yet.
   * @throws {NexcageError} `UPLOAD_FAILED`, `DISK_FULL`, `SIGNATURE_INVALID`, `CONNECTION_LOST`
   */
  async receive(
    build: AgentBuild,
    {
      nodeFrom,
      onProgress,
      signal,
    }: { nodeFrom: string | undefined; onProgress: (sentBytes: number) => void } & Waiting,
  ): Promise<void> {
    const { agent, node, sums, signature } = build;
    const parts = nodeFrom === undefined ? [agent, node] : [agent];
    const nodeBytes = nodeFrom === undefined ? node.bytes : 0;
    const sizes = [sums.length, signature.length, agent.bytes, nodeBytes].map(String);
    const answer = this.#request(["receive", build.build, sha256(sums), ...sizes, nodeFrom ?? "-"], {
      signal,
    });
    answer.catch(() => {}); // looked at below
    this.#channel.stdin.write(Buffer.concat([sums, signature]));
    const sending = this.#send(parts.map(build.pathOf), { onProgress, signal });
    sending.catch(() => {});
    // Whoever refuses half of an archive has answered before the rest was sent.
    await Promise.race([sending, answer]);
    this.#requireOk(await answer);
  }

  /** What `version` of a build says. */
  async version(build: string, { signal }: Waiting): Promise<string> {
    const { word, text } = await this.#request(["version", build], { signal });
    if (word === "ok") return text;
    throw new NexcageError("TRIAL_FAILED", `the agent ${build} does not start on ${this.#host}: ${text}`, {
      hint: "the old one, where there was one, goes on; another build: --agent DIR",
    });
  }

  /** What `doctor -o json` of a build prints. */
  async doctor(build: string, { signal }: Waiting): Promise<string> {
    return (await this.#request(["doctor", build], { signal })).text;
  }

  /** Makes a build that is there the one that runs. The one before stays for a way back. */
  async switchTo(build: string, { signal }: Waiting): Promise<void> {
    await this.#ask(["switch", build], { signal });
  }

  /** Lets a user run the agent as root by sudo, without a password. @returns the file with that rule */
  async allowSudo(user: string, { signal }: Waiting): Promise<string> {
    return await this.#ask(["sudoers", user], { signal });
  }

  /** Removes all that `install.sh` has ever made. */
  async remove({ signal }: Waiting): Promise<void> {
    await this.#ask(["remove"], { signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#channel.stdin.end();
    this.#channel.destroy();
  }

  async #greeted({ signal }: Waiting): Promise<void> {
    for (;;) {
      const at = this.#pending.indexOf(`${ready}\n`);
      if (at >= 0) {
        this.#pending = this.#pending.subarray(at + ready.length + 1);
        return;
      }
      if (this.#pending.length > maximumPreamble || !(await this.#readMore({ signal }))) break;
    }
    const said = (this.#stderr || this.#pending.toString()).trim().split("\n").at(-1) ?? "";
    throw new NexcageError("AGENT_GARBAGE", `${this.#host} does not run the installation: ${said}`, {
      hint: "does its key run a command of its own (authorized_keys)? log in with another: ssh: {identity_file: …}",
    });
  }

  async #ask(request: string[], waiting: Waiting): Promise<string> {
    return this.#requireOk(await this.#request(request, waiting));
  }

  #requireOk({ word, text }: { word: string; text: string }): string {
    if (word === "ok") return text;
    if (/No space left on device|Disk quota exceeded/.test(text))
      throw new NexcageError("DISK_FULL", `no space left on ${this.#host} for the agent: ${text}`, {
        hint: "make space there: df -h /opt",
      });
    const { code, hint } = problems[word] ?? { code: "INTERNAL" as const };
    throw new NexcageError(code, `${this.#host}: ${describe(word, text)}`, { hint: hint?.(this.#host) });
  }

  async #request(request: string[], { signal }: Waiting): Promise<{ word: string; text: string }> {
    this.#channel.stdin.write(`${request.join(" ")}\n`);
    for (;;) {
      const [head = "", word = "", bytes = "0"] =
        /^answer (\S+) (\d+)\n/.exec(this.#pending.subarray(0, 100).toString("latin1")) ?? [];
      const end = head.length + Number(bytes);
      if (head !== "" && this.#pending.length >= end) {
        const text = this.#pending.subarray(head.length, end).toString();
        this.#pending = this.#pending.subarray(end);
        return { word, text };
      }
      if (!(await this.#readMore({ signal }))) break;
    }
    const { error, code } = await untilAborted(this.#channel.exited, signal);
    if (error !== undefined) throw error;
    throw new NexcageError(
      "CONNECTION_LOST",
      `the installation on ${this.#host} ended in its middle (exit code ${code ?? "unknown"}): ${this.#stderr.trim()}`,
      { hint: "run it again; what ran before still runs" },
    );
  }

  /** @returns false at the end of what it says */
  async #readMore({ signal }: Waiting): Promise<boolean> {
    if (this.#ended) return false;
    await untilAborted(this.#more.promise, signal);
    return true;
  }

  async #send(
    files: string[],
    { onProgress, signal }: { onProgress: (sentBytes: number) => void } & Waiting,
  ): Promise<void> {
    const { stdin } = this.#channel;
    let sentBytes = 0;
    for (const file of files) {
      const source = createReadStream(file, { highWaterMark: 256 * 1024 });
      let unread: Error | undefined;
      source.on("error", (error) => {
        unread = error;
      });
      source.on("data", (chunk) => {
        sentBytes += chunk.length;
        onProgress(sentBytes);
      });
      await pipeline(source, stdin, { signal, end: false }).catch((error: unknown) => {
        if (signal.aborted) throw error;
        if (unread !== undefined)
          throw new NexcageError("UPLOAD_FAILED", `cannot read ${file}: ${unread.message}`, {
            cause: unread,
          });
        // Else it has gone, and its answer tells why.
      });
    }
  }
}

/** What is run by sudo here is a shell, which no rule should allow for good. */
function aboutSudo(error: unknown): unknown {
  if (!(error instanceof NexcageError) || error.code !== "BECOME_FAILED") return error;
  return new NexcageError("BECOME_FAILED", error.message, {
    hint: "to install takes all of root: set NEXCAGE_BECOME_PASSWORD, or log in as root: ssh: {user: root}, become: none",
    cause: error,
  });
}

function describe(word: string, text: string): string {
  switch (word) {
    case "not-root":
      return `installing the agent needs root, and the login is ${text}`;
    case "locked":
      return `another installation is at work there${heldBy(text)}`;
    case "unwritable":
      return `cannot write ${text}`;
    case "taken":
      return `${text} was not put there by fleet bootstrap`;
    case "unpack":
      return `the agent could not be unpacked: ${text}`;
    case "gone":
      return `${text} is not there any more`;
    case "no-sudo":
      return `the sudo rule was not written: ${text}`;
    default:
      return text;
  }
}

/** The lock's text: what it is doing, its pid, since when. */
function heldBy(text: string): string {
  const [, pid, since] = text.split(" ");
  return pid === undefined || since === undefined ? "" : `: pid ${pid}, since ${since.trim()}`;
}
