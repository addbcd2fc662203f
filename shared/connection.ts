import type { Readable, Writable } from "node:stream";
import {
  createMessageConnection,
  type Message,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
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
    new StreamMessageWriter(output, { contentTypeEncoder: { name: "utf-8", encode: encodeFrame } }),
  );
  let ended = false;
  const end = (error: NexcageError | undefined): void => {
    if (ended) return;
    ended = true;
    onEnd(error);
  };
  const fail = (error: Error): void => {
    if (error instanceof NexcageError) end(error);
    else if (hasCode(error, "EPIPE", "ECONNRESET", "ERR_STREAM_DESTROYED", "ERR_STREAM_WRITE_AFTER_END"))
      end(undefined);
    else end(new NexcageError("PROTOCOL_ERROR", `the protocol failed: ${error.message}`, { cause: error }));
  };
  guard.once("error", fail); // before the reader wraps it in words of its own
  input.once("error", (error) =>
    end(new NexcageError("CONNECTION_LOST", `the channel failed: ${error.message}`, { cause: error })),
  );
  connection.onError(([error]) => fail(error));
  connection.onClose(() => end(undefined));
  return connection;
}

/** vscode-jsonrpc's own makes a TextDecoder for each message, which is dear to begin with. */
async function decodeFrame(frame: Uint8Array): Promise<Message> {
  return JSON.parse(Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString());
}

async function encodeFrame(message: Message): Promise<Uint8Array> {
  const frame = Buffer.from(JSON.stringify(message));
  if (frame.length <= limits.frameBytes) return frame;
  const error = new NexcageError(
    "FRAME_TOO_LARGE",
    `a message of ${frame.length} bytes does not fit the protocol; at most ${limits.frameBytes}`,
    { hint: "select fewer containers at once (--limit)" },
  );
  if (!("id" in message) || "method" in message) throw error;
  const answer = {
    jsonrpc: "2.0",
    id: message.id,
    error: { code: errorCode, message: error.message, data: error },
  };
  return Buffer.from(JSON.stringify(answer));
}
