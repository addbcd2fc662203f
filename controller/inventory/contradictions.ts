import { BackendName } from "../../shared/spec.ts";
import type { Path } from "./places.ts";
import { isRecord } from "./vocabulary.ts";
import type { ReportAt } from "./volumes.ts";

type Words = Record<string, unknown>;

/** Words of a container that are right by themselves, and not beside each other. Pure. */
export function reportContradictions(value: Words, reportKey: ReportAt): void {
  reportSource(value, reportKey);
  reportForeign(value, reportKey);
  reportPlacement(value, reportKey);
  const runtime = runtimeOf(value);
  if (runtime !== undefined && runtime !== "lxc" && valueAt(value, ["update", "snapshot"]) === "required")
    reportKey(
      ["update", "snapshot"],
      '"snapshot: required" needs "runtime: lxc"',
      `${runtime} makes no snapshots: say update: {snapshot: auto} or none`,
    );
}

/** Which words say where its files come from, and how a hint explains them. */
type Sources = { words: readonly [string, string]; hint: string };

const ociSources: Sources = {
  words: ["rootfs", "bundle"],
  hint: "rootfs: a folder or tar beside this file; bundle: a folder on the host",
};
const sources: Record<BackendName, Sources> = {
  crun: ociSources,
  runc: ociSources,
  lxc: {
    words: ["template", "rootfs"],
    hint: "template: as in debian-13-standard; rootfs: a folder or tar beside this file",
  },
};

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

function reportSource(value: Words, reportKey: ReportAt): void {
  const has = (word: string): boolean => value[word] !== undefined;
  const said = ["bundle", "template", "rootfs", "image"].filter(has);
  const [first, ...others] = said;
  for (const other of others)
    reportKey([other], `"${other}" cannot stand beside "${first}"`, "its files come from one of the two");
  if (first === "bundle" && runtimeOf(value) !== "lxc") {
    for (const word of saidByBundle)
      if (has(word))
        reportKey([word], `"${word}" cannot stand beside "bundle"`, "the bundle's config.json says it");
  } else if (first === "rootfs" && !has("command"))
    reportKey([], '"command" is missing', "a rootfs does not say what to run");
  else if (first === undefined) {
    const { words, hint } = sources[runtimeOf(value) ?? "crun"];
    reportKey([], `either "${words[0]}" or "${words[1]}" is missing`, hint);
  }
}

/** Words that not every runtime can hold, with what the others' users can do. */
const ofSomeRuntimes: { runtimes: readonly BackendName[]; path: Path; hint: string }[] = [
  {
    runtimes: ["crun", "runc"],
    path: ["cap_add"],
    hint: 'LXC can take capabilities away ("cap_drop"), and give none',
  },
  { runtimes: ["lxc"], path: ["template"], hint: 'here: "rootfs" or "bundle"' },
  { runtimes: ["lxc"], path: ["networks"], hint: "an OCI container shares its host's network" },
  { runtimes: ["lxc"], path: ["devices"], hint: "OCI containers get no devices in this version" },
  {
    runtimes: ["lxc"],
    path: ["resources", "swap"],
    hint: "OCI containers have no limit of it in this version",
  },
  { runtimes: ["lxc"], path: ["proxmox"], hint: "these are options of Proxmox's containers" },
];

function reportForeign(value: Words, reportKey: ReportAt): void {
  const found = runtimeOf(value);
  if (found === undefined) return;
  for (const { runtimes, path, hint } of ofSomeRuntimes)
    if (!runtimes.includes(found) && valueAt(value, path) !== undefined)
      reportKey(path, `"${String(path.at(-1))}" needs "runtime: ${runtimes.join(" or ")}"`, hint);
}

function reportPlacement(value: Words, reportKey: ReportAt): void {
  const has = (word: string): boolean => value[word] !== undefined;
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

/** Undefined where it is not one that there is, which is reported elsewhere. */
function runtimeOf({ runtime = "crun" }: Words): BackendName | undefined {
  return BackendName.safeParse(runtime).data;
}

function valueAt(value: unknown, path: Path): unknown {
  const [word, ...rest] = path;
  if (word === undefined) return value;
  return isRecord(value) ? valueAt(value[String(word)], rest) : undefined;
}
