import { closeSync, constants, openSync } from "node:fs";
import { type Readable, Transform, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ReadStream } from "node:tty";
import { isProgramReady, makeTransparent, resizeTerminal, unlockTerminal } from "../../libc.ts";

export type TerminalSize = { rows: number; columns: number };

/** A pseudo terminal, whose other end (`device`) is a program's. It passes bytes on as they are. */
export type Terminal = Disposable & {
  /** An open descriptor for the program's stdin, stdout and stderr; `closeDevice` once it has it. */
  device: number;
  closeDevice(): void;
  /** Our own end. */
  controller: number;
  input: Writable;
  output: Readable;
  resize(size: TerminalSize): Promise<void>;
};

/** Typed by who wants to say that there is no more: ^D. */
const endOfInput = "\x04";

/**
 * Opens a pseudo terminal, for which Node has no call. Source: pts(4), ioctl_tty(2).
 * @throws {Error} where the kernel gives none: ENOSPC, ENOENT without /dev/ptmx
 */
export async function openTerminal(size: TerminalSize): Promise<Terminal> {
  const flags = constants.O_RDWR | constants.O_NOCTTY;
  const controller = openSync("/dev/ptmx", flags);
  const device = openSync(`/dev/pts/${await unlockTerminal(controller)}`, flags);
  // The terminal inside does the echo and the line ends; what is typed before lxc-attach knows must not meet two.
  await makeTransparent(device);
  await resizeTerminal(controller, size);
  const stream = new ReadStream(controller);
  const output = withoutAddedReturns();
  stream.pipe(output, { end: false });
  const end = (): void => {
    output.end();
  };
  stream.on("error", end).on("end", end).on("close", end); // EIO: nobody has the other end any more
  // lxc-attach throws away what was typed before it had set the terminal up.
  let ready: Promise<void> | undefined;
  const type = async (data: Buffer | string): Promise<void> => {
    ready ??= waitUntilReady(controller, () => stream.destroyed);
    await ready;
    if (!stream.destroyed) await new Promise<void>((resolve) => stream.write(data, () => resolve()));
  };
  const input = new Writable({
    write: (chunk, _encoding, done) => void type(chunk).then(() => done(), done),
    final: (done) => void type(endOfInput).then(() => done(), done),
  });
  return {
    controller,
    device,
    closeDevice: () => closeSync(device),
    input,
    output,
    async resize(to) {
      if (!stream.destroyed) await resizeTerminal(controller, to);
    },
    [Symbol.dispose]() {
      stream.destroy();
      input.destroy();
      output.destroy();
    },
  };
}

const readyPollMs = 10;

async function waitUntilReady(controller: number, isOver: () => boolean): Promise<void> {
  while (!isOver() && !(await isProgramReady(controller))) await sleep(readyPollMs);
}

const [carriageReturn, lineFeed] = [0x0d, 0x0a];

/** Takes away the carriage return that the terminal has put before each line feed: the one inside has its own. */
function withoutAddedReturns(): Transform {
  let held = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const data = Buffer.concat([held, chunk]);
      held = data.at(-1) === carriageReturn ? Buffer.from([carriageReturn]) : Buffer.alloc(0);
      const complete = data.subarray(0, data.length - held.length);
      done(
        null,
        complete.filter((byte, index) => byte !== carriageReturn || complete[index + 1] !== lineFeed),
      );
    },
    flush(done) {
      done(null, held);
    },
  });
}
