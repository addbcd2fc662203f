import { once } from "node:events";
import type { Duplex } from "node:stream";
import type { Client, ClientChannel, SFTPWrapper } from "ssh2";
import { NexcageError } from "../../shared/errors.ts";
import type { AgentChannel } from "../session.ts";
import { untilAborted } from "./abort.ts";
import { agentChannel } from "./channel.ts";
import type { Destination } from "./destination.ts";
import { sendFile } from "./sftp.ts";

type Waiting = { signal: AbortSignal };
type Callback<T> = (error: Error | undefined, value: T) => void;

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
   * @throws {NexcageError} `CONNECTION_LOST`
   */
  async exec(commandLine: string, { signal }: Waiting): Promise<AgentChannel> {
    return await this.#open("a command", {
      start: (callback: Callback<ClientChannel>) => this.#client.exec(commandLine, callback),
      // At once: what comes before someone listens is lost.
      use: (channel) => agentChannel(channel, this.lost),
      discard: (channel) => channel.close(),
      signal,
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
    const sftp = await this.#open("SFTP", {
      start: (callback: Callback<SFTPWrapper>) => this.#client.sftp(callback),
      use: (opened) => opened,
      discard: (opened) => opened.end(),
      signal,
    }).catch((error: unknown) => {
      if (signal.aborted || this.#isLost()) throw error;
      return undefined; // a forced command, or an sshd without the subsystem
    });
    if (sftp === undefined) return false;
    try {
      const sent = sendFile(sftp, localPath, remotePath, { host, onProgress });
      return await untilAborted(Promise.race([sent, this.lost.then(rethrow)]), signal);
    } finally {
      sftp.end();
    }
  }

  /**
   * A connection from there to elsewhere, as a stream.
   * @throws {NexcageError} `HOST_UNREACHABLE`
   */
  async forward(to: Destination, { signal }: Waiting): Promise<Duplex> {
    const socket = await this.#open(`a way to ${to.name}`, {
      start: (callback: Callback<ClientChannel>) =>
        this.#client.forwardOut("127.0.0.1", 0, to.address, to.port, callback),
      use: (channel) => channel,
      discard: (channel) => channel.close(),
      signal,
    }).catch((error: unknown) => {
      if (signal.aborted || this.#isLost()) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new NexcageError(
        "HOST_UNREACHABLE",
        `cannot reach ${to.name} through ${this.#destination.name}: ${reason}`,
        {
          hint: `names are looked up on ${this.#destination.name}; there: nc -vz ${to.address} ${to.port}`,
          cause: error,
        },
      );
    });
    // Without this the far end's end is seen, and `close` waits for the jump's own.
    socket.once("end", () => socket.end());
    return socket;
  }

  /** Ends the connection, and everything on it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.end();
    const gone = once(this.#socket, "close", { signal: AbortSignal.timeout(goodbyeMs) });
    if (!this.#socket.closed) await gone.catch(() => {});
    else gone.catch(() => {});
    this.#socket.destroy();
  }

  #isLost(): boolean {
    return !this.#socket.writable;
  }

  /** ssh2 throws at once on a dead connection, and answers a pending call only when its socket has closed. */
  async #open<T, U>(
    what: string,
    options: {
      start: (callback: Callback<T>) => unknown;
      use: (opened: T) => U;
      discard: (opened: T) => unknown;
      signal: AbortSignal;
    },
  ): Promise<U> {
    const { start, use, discard, signal } = options;
    signal.throwIfAborted();
    const opened = Promise.withResolvers<U>();
    let waiting = true;
    try {
      start((error, value) => {
        if (error) opened.reject(error);
        else if (waiting) opened.resolve(use(value));
        else discard(value);
      });
      return await untilAborted(Promise.race([opened.promise, this.lost.then(rethrow)]), signal);
    } catch (error) {
      if (error instanceof NexcageError || signal.aborted) throw error;
      if (this.#isLost()) throw await this.lost;
      const reason =
        error instanceof Error ? error.message.replace("(SSH) Channel open failure: ", "") : String(error);
      throw new NexcageError(
        "CONNECTION_LOST",
        `cannot open ${what} on ${this.#destination.name}: ${reason}`,
        {
          hint: "its sshd may allow fewer sessions (MaxSessions)",
          cause: error,
        },
      );
    } finally {
      waiting = false;
    }
  }
}

function rethrow(error: NexcageError): never {
  throw error;
}
