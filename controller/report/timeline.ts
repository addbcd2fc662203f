import { keyOf } from "../plan/model.ts";
import type { Timed } from "./run.ts";

/** One piece of work on a timeline, in ms since the command began. */
export type Span = {
  kind: "connect" | "send" | "change";
  label: string;
  result: "done" | "failed" | "running";
  /** From when it could have begun, had nothing else been in its way. */
  readyMs: number;
  startMs: number;
  endMs: number;
  /** What it waited for until its start. */
  waitedFor: string | undefined;
};

/** Waits that are shorter are nobody's. */
const worthTellingMs = 20;

/**
 * What was done when, and who waited for what, from a command's events; in the order of their starts. What is still
 * under way at the end is `running`. Pure.
 */
export function timeline(events: readonly Timed[]): Span[] {
  const spans = new Map<string, Span>();
  const lastMs = events.at(-1)?.atMs ?? 0;
  const begin = (key: string, kind: Span["kind"], label: string, atMs: number): void => {
    const running = {
      result: "running",
      readyMs: atMs,
      startMs: atMs,
      endMs: lastMs,
      waitedFor: undefined,
    } as const;
    spans.set(key, { kind, label, ...running });
  };
  const end = (key: string, result: Span["result"], atMs: number): void => {
    const span = spans.get(key);
    if (span !== undefined) spans.set(key, { ...span, result, endMs: atMs });
  };
  const firstChangeMs = events.find(({ event }) => event.kind === "change.started")?.atMs ?? lastMs;
  const ends = new Map<string, number>();

  for (const { atMs, event } of events) {
    switch (event.kind) {
      case "host.connecting":
        begin(`connect ${event.host}`, "connect", `${event.host}: connect`, atMs);
        break;
      case "host.ready":
        end(`connect ${event.host}`, "done", atMs);
        break;
      case "host.unreachable":
        end(`connect ${event.host}`, "failed", atMs);
        break;
      case "upload.started":
        begin(`send ${event.host} ${event.path}`, "send", `${event.host}: send ${event.path}`, atMs);
        break;
      case "upload.done":
        end(`send ${event.host} ${event.path}`, "done", atMs);
        break;
      case "change.started": {
        const key = keyOf(event.change);
        begin(key, "change", `${key}: ${event.change.kind}`, atMs);
        const span = spans.get(key);
        if (span === undefined || atMs - firstChangeMs < worthTellingMs) break;
        const waitedFor = lastOf(event.change.after, ends) ?? `a free place on ${event.change.host}`;
        spans.set(key, { ...span, readyMs: firstChangeMs, waitedFor });
        break;
      }
      case "change.done":
      case "change.failed": {
        const key = keyOf(event.change);
        const span = spans.get(key);
        // One that ended right after its start was done a moment ago, and is told as failed.
        end(
          key,
          event.kind === "change.done" ? "done" : "failed",
          span?.result === "done" ? span.endMs : atMs,
        );
        ends.set(key, atMs);
        break;
      }
      default:
    }
  }
  return [...spans.values()].sort((a, b) => a.startMs - b.startMs);
}

/** Of what comes first, that which ended last. */
function lastOf(keys: readonly string[], ends: ReadonlyMap<string, number>): string | undefined {
  const ended = keys.filter((key) => ends.has(key));
  return ended.toSorted((a, b) => (ends.get(b) ?? 0) - (ends.get(a) ?? 0))[0];
}
