import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Observed } from "../shared/container.ts";
import { asNexcageError } from "../shared/errors.ts";
import { formatSize } from "../shared/units.ts";
import type { Check } from "./backends/backend.ts";
import { type Config, defaultFiles, settingsOf } from "./config.ts";
import type { Paths } from "./paths.ts";
import type { Runtime } from "./runtime.ts";
import { readNames } from "./state/files.ts";
import { keepMs } from "./state/journal.ts";

/** Below this much space a container's log, its files or the journal may not fit. */
const littleBytes = 256 * 1024 ** 2;

/** What this host has, what is missing, and what to do about it. Changes nothing. */
export async function examine(
  runtime: Runtime,
  paths: Paths,
  { config, signal }: { config: Config | undefined; signal: AbortSignal },
): Promise<Check[]> {
  const features = await runtime.features();
  const containers = await runtime.list({ signal });
  return [
    checkConfig(config),
    checkCgroups(features),
    ...features.backends.map((backend) => checkBackend(backend, features, containers)),
    ...(await runtime.examine()),
    checkOverlay(),
    ...[paths.run, paths.lib, paths.log, paths.lock].map(checkFolder),
    checkSpace(paths.lib),
    checkJournals(paths),
    ...checkContainers(containers),
  ];
}

function checkConfig(config: Config | undefined): Check {
  const name = "configuration";
  if (config === undefined)
    return { name, result: "ok", message: `none: there is no ${defaultFiles.join(" and no ")}` };
  const message = `${config.file}: ${settingsOf(config).join(", ") || "it sets nothing"}`;
  if (config.ignored.length === 0) return { name, result: "ok", message };
  return {
    name,
    result: "warning",
    message: `${message}; of no meaning here: ${config.ignored.join(", ")}`,
    hint: "they can be taken out; docs/from-0.7.md tells what has their place",
  };
}

type Features = Awaited<ReturnType<Runtime["features"]>>;

function checkCgroups({ cgroups: mode, backends }: Features): Check {
  const name = "control groups";
  switch (mode) {
    case "v1":
    case "v2":
      return { name, result: "ok", message: `cgroup ${mode}` };
    case "hybrid":
      return {
        name,
        result: backends.some(({ name, available }) => name === "runc" && available) ? "warning" : "failed",
        message:
          "cgroup v1 and v2 are both mounted below /sys/fs/cgroup, which libcrun refuses, and runc does not",
        hint: "boot with systemd.unified_cgroup_hierarchy=1, or umount /sys/fs/cgroup/unified",
      };
    case "none":
      return {
        name,
        result: "failed",
        message: "none are mounted below /sys/fs/cgroup",
        hint: "mount -t cgroup2 none /sys/fs/cgroup",
      };
    default:
      return mode satisfies never;
  }
}

/** What to do where one is missing. */
const backendHints: Record<string, string> = {
  crun: "run nexcage-agent itself, as root, from the package that it came in",
  lxc: "it needs a Proxmox VE host",
  runc: "install it: apt-get install runc",
};

/** One that is missing is a failure where containers need it, or there is no other; nobody needs runc beside crun. */
function checkBackend(
  { name: backend, available, version, reason = "not available" }: Features["backends"][number],
  { backends }: Features,
  containers: Observed[],
): Check {
  const name = `backend ${backend}`;
  if (available) return { name, result: "ok", message: version ?? "available" };
  const isNeeded =
    containers.some((container) => container.backend === backend) || !backends.some((one) => one.available);
  if (backend === "runc" && !isNeeded) return { name, result: "ok", message: `not here: ${reason}` };
  return { name, result: isNeeded ? "failed" : "warning", message: reason, hint: backendHints[backend] };
}

function checkOverlay(): Check {
  const name = "overlayfs";
  if (existsSync("/sys/module/overlay"))
    return { name, result: "ok", message: "containers share their images" };
  return {
    name,
    result: "warning",
    message: "the kernel has not loaded it: each container may get a copy of its image",
    hint: "modprobe overlay",
  };
}

/** One that is missing is made with the first container: then the folder above it counts. */
function checkFolder(path: string): Check {
  const existing = nearestFolder(path);
  try {
    accessSync(existing, constants.W_OK);
    return {
      name: path,
      result: "ok",
      message: existing === path ? "writable" : `can be made in ${existing}`,
    };
  } catch (error) {
    const { message } = asNexcageError(error);
    return {
      name: path,
      result: "failed",
      message,
      hint: `run as root, and check: ls -ld ${existing}; mount`,
    };
  }
}

function nearestFolder(path: string): string {
  return existsSync(path) || path === "/" ? path : nearestFolder(dirname(path));
}

function checkSpace(path: string): Check {
  const { bavail, bsize } = statfsSync(nearestFolder(path));
  const free = bavail * bsize;
  const name = `space for ${path}`;
  if (free >= littleBytes) return { name, result: "ok", message: `${formatSize(free)} free` };
  return {
    name,
    result: "warning",
    message: `only ${formatSize(free)} free`,
    hint: `make space there: df -h ${path}`,
  };
}

/** One that is older than a day was not removed, because something in it could not be settled. */
function checkJournals(paths: Paths): Check {
  const name = "journals";
  const journals = readNames(paths.journals).filter((file) => file.endsWith(".jsonl"));
  const old = journals.filter((file) => ageMs(join(paths.journals, file)) > keepMs);
  if (old.length === 0) return { name, result: "ok", message: `${journals.length}, none older than a day` };
  return {
    name,
    result: "warning",
    message: `an operation that was cut off cannot be settled: ${old.join(", ")} in ${paths.journals}`,
    hint: "to see why: nexcage-agent --log-level warn list",
  };
}

function ageMs(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? 0 : Date.now() - found.mtimeMs;
}

function checkContainers(containers: Observed[]): Check[] {
  const running = containers.filter(({ state }) => state.status === "running").length;
  const lost = containers.filter(({ monitor, state }) => monitor === "lost" && state.status !== "stopped");
  return [
    { name: "containers", result: "ok", message: `${containers.length}, ${running} of them running` },
    ...lost.map(
      ({ id }): Check => ({
        name: `container ${id}`,
        result: "warning",
        message: "its monitor was killed: how it will end cannot be known",
        hint: `start it again where that matters: nexcage-agent stop ${id}; nexcage-agent start ${id}`,
      }),
    ),
  ];
}
