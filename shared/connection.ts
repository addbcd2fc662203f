import type { Readable, Writable } from "node:stream";
import {
  AbstractMessageWriter,
  createMessageConnection,
  type Message,
  type MessageConnection,
  type MessageWriter,
  StreamMessageReader,
} from "vscode-jsonrpc/node";
import { hasCode, NexcageError } from "./errors.ts";
import type { FrameGuard } from "./framing.ts";
import { errorCode, limits } from "./protocol.ts";

/**
 * A JSON-RPC connection over two streams, guarded against what vscode-jsonrpc lets through: see
 * FrameGuard for what comes in; what goes out over the limit becomes an error answer. `onEnd` is called
 * once: with the error that ended it, or without one when the other end closed. Not listening yet.
 */
export function openConnection(options: {
  input: Readable;
  output: Writable;
  guard: FrameGuard;
  onEnd: (error: NexcageError | undefined) => void;
}): MessageConnection {
  const { input, output, guard, onEnd } = options;
  const connection = createMessageConnection(
    new StreamMessageReader(input.pipe(guard), {
      contentTypeDecoder: { name: "utf-8", decode: decodeFrame },
    }),
    new FrameWriter(output),
  );
  let ended = false;
  const end = (error: NexcageError | undefined): void => {
    if (ended) return;
    ended = true;
    onEnd(error);
  };
  const fail = (error: Error): void => {
    if (error instanceof NexcageError) end(error);
    else if (isGone(error)) end(undefined);
    else end(new NexcageError("PROTOCOL_ERROR", `the protocol failed: ${error.message}`, { cause: error }));
  };
  guard.once("error", fail); // before the reader wraps it in words of its own
  input.once("error", (error) =>
    end(
      isGone(error)
        ? undefined
        : new NexcageError("CONNECTION_LOST", `the channel failed: ${error.message}`, { cause: error }),
    ),
  );
  connection.onError(([error]) => fail(error));
  connection.onClose(() => end(undefined));
  return connection;
}

/** What a stream says when the other end has closed it. */
function isGone(error: Error): boolean {
  return hasCode(error, "EPIPE", "ECONNRESET", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END");
}

/** vscode-jsonrpc's own makes a TextDecoder for each message, which is dear to begin with. */
async function decodeFrame(frame: Uint8Array): Promise<Message> {
  return JSON.parse(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString());
}

/** Writes a message with one call: vscode-jsonrpc's own takes two, and the sshd between the ends wakes for each. */
class FrameWriter extends AbstractMessageWriter implements MessageWriter {
  readonly #output: Writable;

  constructor(output: Writable) {
    super();
    this.#output = output;
    output.on("error", (error) => this.fireError(error));
    output.on("close", () => this.fireClose());
  }

  write(message: Message): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#output.write(encodeFrame(message), (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  end(): void {
    this.#output.end();
  }
}

/** @throws {NexcageError} `FRAME_TOO_LARGE` for a request; an answer becomes one that says so */
function encodeFrame(message: Message): Buffer {
  const text = JSON.stringify(message);
  const bytes = Buffer.byteLength(text);
  if (bytes <= limits.frameBytes) return Buffer.from(`Content-Length: ${bytes}\r\n\r\n${text}`);
  const error = new NexcageError(
    "FRAME_TOO_LARGE",
    `a message of ${bytes} bytes does not fit the protocol; at most ${limits.frameBytes}`,
    { hint: "select fewer containers at once (--limit)" },
  );
  if (!("id" in message) || "method" in message) throw error;
  const { jsonrpc, id } = message;
  const answer = { code: errorCode, message: error.message, data: error };
  return encodeFrame({ jsonrpc, id, error: answer } as Message);
}
