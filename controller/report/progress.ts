import { createLogUpdate } from "log-update";
import type { Emit } from "../events.ts";
import { eventJson } from "./event-json.ts";
import { lineOf } from "./lines.ts";
import { draw, emptyLiveState, fold } from "./live.ts";

export type Progress = { emit: Emit; pause: () => void } & Disposable;

/**
 * Shows events on stderr as they happen: a live view with what is going on at its foot on a terminal,
 * one line an event elsewhere, nothing when `quiet`; as JSON whatever stdout gets. Paused before a question is asked.
 */
export function openProgress(
  stream: NodeJS.WriteStream,
  { quiet, verbose, format }: { quiet: boolean; verbose: boolean; format: "text" | "json" },
): Progress {
  if (format === "json")
    return {
      emit(event) {
        if (event.kind !== "upload.progress")
          stream.write(`${JSON.stringify(eventJson(event, new Date()))}\n`);
      },
      pause: () => {},
      [Symbol.dispose]: () => {},
    };
  if (quiet) return { emit: () => {}, pause: () => {}, [Symbol.dispose]: () => {} };
  const write = (line: string): void => {
    stream.write(`${line}\n`);
  };
  if (!stream.isTTY || process.env.TERM === "dumb")
    return {
      emit(event) {
        const line = lineOf(event, { verbose });
        if (line !== undefined) write(line);
      },
      pause: () => {},
      [Symbol.dispose]: () => {},
    };

  const state = emptyLiveState();
  // A cursor that it hides comes back only at exit: too late for a question, or a shell in a container.
  const view = createLogUpdate(stream, { showCursor: true });
  const redraw = (): void =>
    view(draw(state, { nowMs: performance.now(), rows: Math.min(stream.rows ?? 24, 16) }));
  let timer: NodeJS.Timeout | undefined;
  const pause = (): void => {
    clearInterval(timer);
    timer = undefined;
    view.clear();
  };
  return {
    emit(event) {
      timer ??= setInterval(redraw, 100).unref();
      fold(state, event, performance.now());
      const line = lineOf(event, { verbose });
      if (line === undefined) return;
      view.clear();
      write(line);
      redraw();
    },
    pause,
    [Symbol.dispose]: pause,
  };
}
