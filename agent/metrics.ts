import type { Features, Observed } from "../shared/container.ts";
import { type Counted, durationBounds, type OperationCounts } from "./state/counted.ts";

/*
 * The exposition format of Prometheus, version 0.0.4, written here: what a client library keeps are counters of its own
 * process, and these are a host's, added up over all agents that ever ran on it.
 */

type Labels = Record<string, string>;

/**
 * What a host's agent can tell Prometheus: its containers, what it can run, and what was done. Pure.
 */
export function metricsText({
  features,
  containers,
  counted,
}: {
  features: Features;
  containers: Observed[];
  counted: Counted;
}): string {
  const { agentVersion, build = "", protocol, backends } = features;
  const states = Map.groupBy(containers, ({ backend, state }) => JSON.stringify([backend, state.status]));
  const lost = containers.filter(({ monitor, state }) => monitor === "lost" && state.status !== "stopped");
  const operations = Object.entries(counted).sort(([a], [b]) => (a < b ? -1 : 1));
  const results = ["done", "failed", "interrupted"] as const;
  return [
    metric("nexcage_agent_build_info", "gauge", "Which agent this is.", [
      sample("nexcage_agent_build_info", { version: agentVersion, build, protocol }, 1),
    ]),
    metric(
      "nexcage_backend_available",
      "gauge",
      "Whether containers of this runtime can run here.",
      backends.map(({ name, available }) =>
        sample("nexcage_backend_available", { backend: name }, Number(available)),
      ),
    ),
    metric(
      "nexcage_containers",
      "gauge",
      "Containers by runtime and OCI status.",
      [...states].sort().map(([key, list]) => {
        const [backend, status] = JSON.parse(key) as [string, string]; // as it was made above
        return sample("nexcage_containers", { backend, status }, list.length);
      }),
    ),
    metric("nexcage_containers_without_monitor", "gauge", "Containers whose monitor was killed.", [
      sample("nexcage_containers_without_monitor", {}, lost.length),
    ]),
    metric(
      "nexcage_operations_total",
      "counter",
      "Operations that ended, by kind and result.",
      operations.flatMap(([kind, counts]) =>
        results.map((result) => sample("nexcage_operations_total", { kind, result }, counts[result])),
      ),
    ),
    metric(
      "nexcage_operation_duration_seconds",
      "histogram",
      "How long operations took, by kind.",
      operations.flatMap(([kind, counts]) => histogram(kind, counts)),
    ),
  ].join("");
}

function histogram(kind: string, { buckets, seconds, done, failed, interrupted }: OperationCounts): string[] {
  const name = "nexcage_operation_duration_seconds";
  const count = done + failed + interrupted;
  return [
    ...durationBounds.map((bound, index) =>
      sample(`${name}_bucket`, { kind, le: String(bound) }, buckets[index] ?? 0),
    ),
    sample(`${name}_bucket`, { kind, le: "+Inf" }, count),
    sample(`${name}_sum`, { kind }, seconds),
    sample(`${name}_count`, { kind }, count),
  ];
}

function metric(
  name: string,
  type: "counter" | "gauge" | "histogram",
  help: string,
  samples: string[],
): string {
  return samples.length === 0 ? "" : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.join("")}`;
}

function sample(name: string, labels: Labels, value: number): string {
  const inner = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${inner.length === 0 ? "" : `{${inner.join(",")}}`} ${value}\n`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
