import type { FieldChange, SpecField } from "../../shared/costs.ts";

/** A field of a spec by its word in the YAML. */
export function wordOf({ field, old, new: now }: FieldChange): string {
  if (field !== "source") return yamlWords[field];
  const kinds = [old, now].map((source) => (isBundle(source) ? "bundle" : "rootfs"));
  return kinds[0] === kinds[1] ? (kinds[0] ?? "") : kinds.join(" → ");
}

const yamlWords: Record<Exclude<SpecField, "source">, string> = {
  runtime: "runtime",
  command: "command",
  environment: "environment",
  user: "user",
  workingDir: "working_dir",
  hostname: "hostname",
  mounts: "volumes",
  readOnly: "read_only",
  capAdd: "cap_add",
  capDrop: "cap_drop",
  "resources.cpus": "resources.cpus",
  "resources.memoryBytes": "resources.memory",
  "resources.pids": "resources.pids",
  labels: "labels",
  stopSignal: "stop_signal",
  stopGracePeriodMs: "stop_grace_period",
};

function isBundle(source: unknown): boolean {
  return typeof source === "object" && source !== null && "kind" in source && source.kind === "bundle";
}
