import { formatDuration, formatSize } from "../../shared/units.ts";
import type { FleetEvent } from "../events.ts";
import { keyOf } from "../plan/model.ts";
import { printable } from "./printable.ts";

/** What a live view knows: folded from events, drawn as text. Both pure, but for the fold's own state. */
export type LiveState = {
  connecting: Set<string>;
  ready: number;
  unreachable: number;
  uploads: Map<string, { sentBytes: number; bytes: number }>;
  running: Map<string, { step: string; startedMs: number }>;
  done: number;
  failed: number;
  skipped: number;
};

export function emptyLiveState(): LiveState {
  return {
    connecting: new Set(),
    ready: 0,
    unreachable: 0,
    uploads: new Map(),
    running: new Map(),
    done: 0,
    failed: 0,
    skipped: 0,
  };
}

export function fold(state: LiveState, event: FleetEvent, nowMs: number): void {
  switch (event.kind) {
    case "host.connecting":
      state.connecting.add(event.host);
      return;
    case "host.ready":
      state.connecting.delete(event.host);
      state.ready += 1;
      return;
    case "host.unreachable":
      state.connecting.delete(event.host);
      state.unreachable += 1;
      return;
    case "agent.step":
      state.connecting.delete(event.host);
      state.running.set(event.host, { step: event.step, startedMs: nowMs });
      return;
    case "agent.ended":
      state.running.delete(event.host);
      if (event.error === undefined) state.done += 1;
      else state.failed += 1;
      return;
    case "upload.progress":
    case "upload.started":
      state.uploads.set(`${event.host}: ${event.path}`, {
        sentBytes: event.kind === "upload.started" ? 0 : event.sentBytes,
        bytes: event.bytes,
      });
      return;
    case "upload.done":
      state.uploads.delete(`${event.host}: ${event.path}`);
      return;
    case "change.started":
      state.running.set(keyOf(event.change), { step: event.change.kind, startedMs: nowMs });
      return;
    case "change.step": {
      const running = state.running.get(keyOf(event.change));
      if (running !== undefined) running.step = `${event.change.kind}: ${printable(event.step)}`;
      return;
    }
    case "change.done":
      state.running.delete(keyOf(event.change));
      state.done += 1;
      return;
    case "change.failed":
      // One that ended right after its start was counted as done a moment ago.
      if (!state.running.delete(keyOf(event.change)) && state.done > 0) state.done -= 1;
      state.failed += 1;
      return;
    case "change.skipped":
      state.skipped += 1;
      return;
    default:
      return;
  }
}

/** The live part of the screen: a line each for what is going on, at most `rows` of them, and a summary. */
export function draw(state: LiveState, { nowMs, rows }: { nowMs: number; rows: number }): string {
  const { connecting, ready, unreachable, uploads, running, done, failed, skipped } = state;
  const lines = [
    ...[...uploads].map(
      ([what, { sentBytes, bytes }]) =>
        `  ${what}  ${Math.floor((100 * sentBytes) / Math.max(bytes, 1))}% of ${formatSize(bytes)}`,
    ),
    ...[...running].map(
      ([key, { step, startedMs }]) => `  ${key}  ${step}  ${formatDuration(nowMs - startedMs)}`,
    ),
  ];
  const shown = lines.slice(0, Math.max(rows - 2, 1));
  if (lines.length > shown.length) shown.push(`  … and ${lines.length - shown.length} more`);
  const counts = [
    connecting.size > 0 && `connecting to ${connecting.size}`,
    ready > 0 && `${ready} ${ready === 1 ? "host" : "hosts"}`,
    unreachable > 0 && `${unreachable} unreachable`,
    running.size > 0 && `${running.size} in progress`,
    done > 0 && `${done} done`,
    failed > 0 && `${failed} failed`,
    skipped > 0 && `${skipped} skipped`,
  ];
  return [...shown, counts.filter((count) => count !== false).join(", ")].join("\n");
}
