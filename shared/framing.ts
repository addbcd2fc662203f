import { Transform, type TransformCallback } from "node:stream";
import { NexcageError } from "./errors.ts";
import { limits } from "./protocol.ts";

/**
 * What stands between a byte stream and the JSON-RPC reader, which has no limit of its own and swallows
 * answers after text that is no frame. Passes nothing until `mark` (what came before goes to
 * `onPreamble`), then frames only: a header that is none is `AGENT_GARBAGE` or `PROTOCOL_ERROR`
 * (`garbageCode`), a body over the limit `FRAME_TOO_LARGE`, before any of it is buffered. Either
 * destroys the stream with that error.
 */
export class FrameGuard extends Transform {
  readonly #mark: Buffer | undefined;
  readonly #garbageCode: "AGENT_GARBAGE" | "PROTOCOL_ERROR";
  readonly #onPreamble: (text: string) => void;
  #marked: boolean;
  /** What was read and not passed on yet: the preamble, or the beginning of a header. */
  #held: Buffer = Buffer.alloc(0);
  /** How much of the current frame's body is still to come. */
  #bodyBytes = 0;

  constructor(options: {
    mark?: string;
    garbageCode: "AGENT_GARBAGE" | "PROTOCOL_ERROR";
    onPreamble?: (text: string) => void;
  }) {
    super();
    this.#mark = options.mark === undefined ? undefined : Buffer.from(options.mark);
    this.#marked = options.mark === undefined;
    this.#garbageCode = options.garbageCode;
    this.#onPreamble = options.onPreamble ?? (() => {});
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#take(chunk);
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  }

  override _flush(done: TransformCallback): void {
    if (!this.#marked && this.#held.length > 0) this.#onPreamble(this.#held.toString());
    done();
  }

  #take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#bodyBytes > 0) {
        const body = rest.subarray(0, this.#bodyBytes);
        this.push(body);
        this.#bodyBytes -= body.length;
        rest = rest.subarray(body.length);
        continue;
      }
      this.#held = this.#held.length === 0 ? rest : Buffer.concat([this.#held, rest]);
      const passed = this.#marked ? this.#takeHeader() : this.#takeMark();
      if (passed === undefined) return;
      rest = this.#held.subarray(passed);
      this.#held = Buffer.alloc(0);
    }
  }

  /** How many of the held bytes the mark and what comes before it take; undefined while it is not there. */
  #takeMark(): number | undefined {
    const at = this.#mark === undefined ? 0 : this.#held.indexOf(this.#mark);
    if (at < 0) {
      if (this.#held.length <= limits.preambleBytes) return undefined;
      throw new NexcageError(this.#garbageCode, `no agent answered: ${excerpt(this.#held)}`);
    }
    if (at > 0) this.#onPreamble(this.#held.subarray(0, at).toString());
    this.#marked = true;
    return at + (this.#mark?.length ?? 0);
  }

  /** How many of the held bytes the header takes, which is passed on; undefined while it is incomplete. */
  #takeHeader(): number | undefined {
    const end = this.#held.indexOf("\r\n\r\n");
    const header = this.#held.subarray(0, end < 0 ? undefined : end).toString("latin1");
    if (!looksLikeHeader(header) || (end < 0 && header.length > 1024))
      throw new NexcageError(this.#garbageCode, `not a frame of the protocol: ${excerpt(this.#held)}`);
    if (end < 0) return undefined;
    const length = /(?:^|\r\n)content-length: *(\d{1,15})(?:\r\n|$)/i.exec(header)?.[1];
    if (length === undefined)
      throw new NexcageError(this.#garbageCode, `a frame without its length: ${excerpt(this.#held)}`);
    if (Number(length) > limits.frameBytes)
      throw new NexcageError("FRAME_TOO_LARGE", `a frame of ${length} bytes; at most ${limits.frameBytes}`);
    this.push(this.#held.subarray(0, end + 4));
    this.#bodyBytes = Number(length);
    return end + 4;
  }
}

/** True while text may be, or become, a frame's header: so that garbage is refused at its first bytes. */
function looksLikeHeader(text: string): boolean {
  const known = ["content-length:", "content-type:"];
  return text
    .toLowerCase()
    .split("\r\n")
    .every((line) => known.some((name) => line.startsWith(name) || name.startsWith(line.trimEnd())));
}

function excerpt(bytes: Buffer): string {
  return JSON.stringify(bytes.subarray(0, 120).toString());
}
