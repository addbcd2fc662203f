import { isRecord } from "./vocabulary.ts";
import type { ReportAt } from "./volumes.ts";

/** What an OCI bundle's own config.json says. */
const saidByBundle = [
  "command",
  "environment",
  "user",
  "working_dir",
  "hostname",
  "volumes",
  "tmpfs",
  "resources",
  "read_only",
  "cap_add",
  "cap_drop",
] as const;

/** Words of a container that are right by themselves, and not beside each other. Pure. */
export function reportContradictions(value: Record<string, unknown>, reportKey: ReportAt): void {
  const has = (word: string): boolean => value[word] !== undefined;
  if (has("bundle")) {
    if (has("rootfs"))
      reportKey(["rootfs"], '"rootfs" cannot stand beside "bundle"', "its files come from one of the two");
    for (const word of saidByBundle)
      if (has(word))
        reportKey([word], `"${word}" cannot stand beside "bundle"`, "the bundle's config.json says it");
  } else if (has("rootfs")) {
    if (!has("command")) reportKey([], '"command" is missing', "a rootfs does not say what to run");
  } else if (!has("image") && !has("template"))
    reportKey(
      [],
      'either "rootfs" or "bundle" is missing',
      "rootfs: a folder or tar beside this file; bundle: a folder on the host",
    );

  const placement = isRecord(value.placement) ? value.placement : {};
  if (value.mode === "global") {
    for (const word of ["host", "replicas"])
      if (has(word))
        reportKey(
          [word],
          `"${word}" cannot stand beside "mode: global"`,
          "there is one on each host that fits",
        );
    for (const word of ["spread", "max_per_host"])
      if (placement[word] !== undefined)
        reportKey(["placement", word], `"${word}" means nothing with "mode: global"`);
  } else if (has("host"))
    for (const word of ["constraints", "spread"])
      if (placement[word] !== undefined)
        reportKey(["placement", word], `"${word}" cannot stand beside "host"`, "the host is chosen already");
}
