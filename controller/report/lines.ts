import type { NexcageError } from "../../shared/errors.ts";
import { formatDuration, formatSize } from "../../shared/units.ts";
import type { FleetEvent } from "../events.ts";
import { keyOf, type PlannedChange } from "../plan/model.ts";
import { printable } from "./printable.ts";

const doing: Record<PlannedChange["kind"], string> = {
  create: "creating",
  replace: "replacing",
  update: "updating",
  start: "starting",
  stop: "stopping",
  restart: "restarting",
  pause: "pausing",
  resume: "resuming",
  delete: "deleting",
  keep: "keeping",
};
const did: Record<PlannedChange["kind"], string> = {
  create: "created",
  replace: "replaced",
  update: "updated",
  start: "started",
  stop: "stopped",
  restart: "restarted",
  pause: "paused",
  resume: "resumed",
  delete: "deleted",
  keep: "kept",
};

/**
 * An event as one line for a file or a CI log; undefined for what only a live view or `--verbose` shows.
 * Pure.
 */
export function lineOf(event: FleetEvent, options: { verbose: boolean }): string | undefined {
  const text = textOf(event, options);
  return text === undefined ? undefined : printable(text);
}

function textOf(event: FleetEvent, { verbose }: { verbose: boolean }): string | undefined {
  switch (event.kind) {
    case "host.connecting":
      return verbose ? `${event.host}: connecting` : undefined;
    case "host.ready":
      return verbose
        ? `${event.host}: agent ${event.hello.agentVersion} answers after ${formatDuration(event.durationMs)}`
        : undefined;
    case "host.unreachable":
      return `${event.host}: unreachable: ${errorText(event.error)}`;
    case "host.lost":
      return `${event.host}: lost, trying again: ${event.error.message}`;
    case "host.back":
      return `${event.host}: back`;
    case "host.log":
      return verbose ? `${event.host}| ${event.line}` : undefined;
    case "agent.step":
      return verbose ? `${event.host}: ${event.step}` : undefined;
    case "agent.ended":
      return event.error === undefined
        ? `${event.host}: done in ${formatDuration(event.durationMs)}`
        : `${event.host}: failed: ${errorText(event.error)}`;
    case "lock.waiting": {
      const { holder, host } = event;
      const who =
        holder === undefined ? "another controller" : `${holder.user}@${holder.host} (pid ${holder.pid})`;
      return `${host}: waiting for the lock that ${who} holds`;
    }
    case "image.packing":
    case "image.hashing":
      return undefined;
    case "upload.started":
      return `${event.host}: sending ${event.path} (${formatSize(event.bytes)})`;
    case "upload.progress":
      return undefined;
    case "upload.done":
      return `${event.host}: sent ${event.path} in ${formatDuration(event.durationMs)}`;
    case "change.started":
      return verbose ? `${keyOf(event.change)}: ${doing[event.change.kind]}` : undefined;
    case "change.step":
      // Where it waits for somebody else, its user may be the one who can help; or goes on with less than was asked.
      return verbose || /^(waiting|without a snapshot): /.test(event.step)
        ? `${keyOf(event.change)}: ${doing[event.change.kind]}: ${event.step}`
        : undefined;
    case "change.done": {
      const { change, container, durationMs } = event;
      const pid = container?.state.pid ? `, pid ${container.state.pid}` : "";
      return `${keyOf(change)}: ${did[change.kind]} in ${formatDuration(durationMs)}${pid}`;
    }
    case "change.failed":
      return `${keyOf(event.change)}: failed: ${errorText(event.error)}`;
    case "change.skipped":
      return `${keyOf(event.change)}: skipped: ${event.reason}`;
    default:
      return event satisfies never;
  }
}

/**
 * An error as a person reads it: message, where asked for with its code, the container's last lines, then
 * the hint, each on its line.
 */
export function errorText(error: NexcageError, { withCode = false } = {}): string {
  const { code, hint, details } = error;
  const message = withCode ? `${error.message} [${code}]` : error.message;
  const lines = Array.isArray(details?.lastLines) ? details.lastLines.map((line) => `  | ${line}`) : [];
  return printable([message, ...lines, ...(hint === undefined ? [] : [`  hint: ${hint}`])].join("\n"));
}
