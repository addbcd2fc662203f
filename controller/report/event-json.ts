import type { FleetEvent } from "../events.ts";
import { isRecord } from "../inventory/vocabulary.ts";
import type { PlannedChange } from "../plan/model.ts";

/**
 * An event for programs: one object, its names stable. `host`, `containerId` and `operationId` are the same words as in
 * the agent's own log, whose lines come as `agent`. Pure.
 */
export function eventJson(event: FleetEvent, time: Date): Record<string, unknown> {
  const { kind, ...rest } = event;
  const about = "change" in event ? aboutChange(event.change) : {};
  const { change: _change, container, hello, ...plain } = rest as Record<string, unknown>;
  return {
    time: time.toISOString(),
    event: kind,
    ...about,
    ...rounded(plain),
    ...(kind === "host.log" && agentLine(event.line)),
    ...(isRecord(container) && { state: container.state }),
    ...(isRecord(hello) && { agentVersion: hello.agentVersion, agentBuild: hello.build }),
  };
}

/** The agent writes JSON; what is none came from a program of its host's. */
function agentLine(line: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(line);
    if (isRecord(parsed)) return { line: undefined, agent: parsed };
  } catch {
    // as it is
  }
  return { line };
}

function aboutChange({ kind, host, id, reason }: PlannedChange): Record<string, unknown> {
  return { host, containerId: id, change: kind, why: reason };
}

function rounded(fields: Record<string, unknown>): Record<string, unknown> {
  const { durationMs } = fields;
  return typeof durationMs === "number" ? { ...fields, durationMs: Math.round(durationMs) } : fields;
}
