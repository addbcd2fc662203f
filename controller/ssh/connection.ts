import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { Client, ClientChannel, SFTPWrapper } from "ssh2";
import { NexcageError } from "../../shared/errors.ts";
import { untilAborted } from "../abort.ts";
import type { AgentChannel } from "../session.ts";
import { agentChannel } from "./channel.ts";
import type { Destination } from "./destination.ts";
import { sendFile } from "./sftp.ts";

type Waiting = { signal: AbortSignal };
type Callback<T> = (error: Error | undefined, value: T) => void;

/** A channel, or what the host says where it does not want to open one. */
type Opened<T> = { kind: "open"; value: T } | { kind: "refused"; reason: string; cause: unknown };

/** How long a connection may take to say goodbye before it is cut. */
const goodbyeMs = 1_000;

/** An authenticated SSH connection. Nothing of ssh2's shape gets out of it. */
export class Connection implements AsyncDisposable {
  /** Settles when the connection is gone, with why; also when it was closed by us. */
  readonly lost: Promise<NexcageError>;
  readonly #client: Client;
  readonly #socket: Duplex;
  readonly #destination: Destination;

  constructor(
    client: Client,
    options: { socket: Duplex; destination: Destination; lost: Promise<NexcageError> },
  ) {
    this.#client = client;
    this.#socket = options.socket;
    this.#destination = options.destination;
    this.lost = options.lost;
  }

  /**
   * Runs a command line in the login shell.
   * @throws {NexcageError} `CONNECTION_LOST`, `HOST_UNREACHABLE`
   */
  async exec(commandLine: string, { signal }: Waiting): Promise<AgentChannel> {
    const opened = await this.#open({
      start: (callback: Callback<ClientChannel>) => this.#client.exec(commandLine, callback),
      // At once: what comes before someone listens is lost.
      use: (channel) => agentChannel(channel, this.lost),
      discard: (channel) => channel.close(),
      signal,
    });
    if (opened.kind === "open") return opened.value;
    const { reason, cause } = opened;
    throw new NexcageError("HOST_UNREACHABLE", `${this.#destination.name} opens no session: ${reason}`, {
      hint: "its sshd may allow fewer at once (MaxSessions)",
      cause,
    });
  }

  /**
   * Sends a file by SFTP.
   * @returns false where the login user may not write there, or has no SFTP
   * @throws {NexcageError} `CONNECTION_LOST`, `DISK_FULL`, `UPLOAD_FAILED`
   */
  async upload(
    localPath: string,
    remotePath: string,
    { signal, onProgress = () => {} }: Waiting & { onProgress?: ((sentBytes: number) => void) | undefined },
  ): Promise<boolean> {
    const host = this.#destination.name;
    const opened = await this.#open({
      start: (callback: Callback<SFTPWrapper>) => this.#client.sftp(callback),
      use: (sftp) => sftp,
      discard: (sftp) => sftp.end(),
      signal,
    });
    if (opened.kind === "refused") return false; // a forced command, or an sshd without the subsystem
    const sftp = opened.value;
    try {
      const sent = sendFile(sftp, localPath, remotePath, { host, onProgress });
      return await untilAborted(Promise.race([sent, this.lost.then(rethrow)]), signal);
    } finally {
      sftp.end();
    }
  }

  /**
   * A connection from there to elsewhere, as a stream. The sshd there may try for minutes; it is given the
   * destination's own time.
   * @throws {NexcageError} `HOST_UNREACHABLE`
   */
  async forward(to: Destination, { signal }: Waiting): Promise<Duplex> {
    const { name } = this.#destination;
    const limit = AbortSignal.timeout(to.connectTimeoutMs);
    const opened = await this.#open({
      start: (callback: Callback<ClientChannel>) =>
        this.#client.forwardOut("127.0.0.1", 0, to.address, to.port, callback),
      use: (channel) => channel,
      discard: (channel) => channel.close(),
      signal: AbortSignal.any([signal, limit]),
    }).catch((cause: unknown) => {
      if (signal.aborted || cause !== limit.reason) throw cause;
      return {
        kind: "refused",
        reason: `no connection within ${to.connectTimeoutMs / 1_000} s`,
        cause,
      } as const;
    });
    if (opened.kind === "refused") {
      throw new NexcageError(
        "HOST_UNREACHABLE",
        `cannot reach ${to.name} through ${name}: ${opened.reason}`,
        {
          hint: `names are looked up on ${name}; there: nc -vz ${to.address} ${to.port}`,
          cause: opened.cause,
        },
      );
    }
    return opened.value;
  }

  /** Ends the connection, and everything on it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const said = once(this.#socket, "finish", { signal: AbortSignal.timeout(goodbyeMs) });
    this.#client.end();
    // `lost` too, because the stream of a jump host that has gone never says anything.
    if (!this.#socket.writableFinished) await Promise.race([said, this.lost]).catch(() => {});
    said.catch(() => {});
    this.#socket.destroy();
  }

  /**
   * Opens a channel. ssh2 throws at once on a dead connection, and answers what is pending only when its socket
   * has closed.
   */
  async #open<T, U>(options: {
    start: (callback: Callback<T>) => unknown;
    use: (opened: T) => U;
    discard: (opened: T) => unknown;
    signal: AbortSignal;
  }): Promise<Opened<U>> {
    const { start, use, discard, signal } = options;
    signal.throwIfAborted();
    const opened = Promise.withResolvers<Opened<U>>();
    let waiting = true;
    try {
      start((error, value) => {
        if (error) opened.reject(error);
        else if (waiting) opened.resolve({ kind: "open", value: use(value) });
        else discard(value);
      });
      return await untilAborted(Promise.race([opened.promise, this.lost.then(rethrow)]), signal);
    } catch (cause) {
      if (cause instanceof NexcageError || signal.aborted) throw cause;
      if (!this.#socket.writable) throw await this.lost;
      const said = cause instanceof Error ? cause.message : String(cause);
      return { kind: "refused", reason: said.replace("(SSH) Channel open failure: ", ""), cause };
    } finally {
      waiting = false;
    }
  }
}

function rethrow(error: NexcageError): never {
  throw error;
}
