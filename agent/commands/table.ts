import type { CommandModule } from "yargs";
import type { Table } from "../../shared/command-table.ts";
import { logFormats, logLevels } from "../log.ts";
import { agentPaths } from "../paths.ts";
import { completionOf } from "./completion.ts";
import { create } from "./create.ts";
import { deleteCommand } from "./delete.ts";
import { doctor } from "./doctor.ts";
import { events } from "./events.ts";
import { exec } from "./exec.ts";
import { features } from "./features.ts";
import { kill } from "./kill.ts";
import { list } from "./list.ts";
import { logs } from "./logs.ts";
import { metrics } from "./metrics.ts";
import { ociCommonOptions } from "./oci-options.ts";
import { pause } from "./pause.ts";
import { ps } from "./ps.ts";
import { exitStatuses } from "./report-error.ts";
import { restart } from "./restart.ts";
import { resume } from "./resume.ts";
import { route } from "./route.ts";
import { run } from "./run.ts";
import { serve } from "./serve.ts";
import { spec } from "./spec.ts";
import { start } from "./start.ts";
import { state } from "./state.ts";
import { stop } from "./stop.ts";
import { update } from "./update.ts";
import { versionCommand } from "./version.ts";

/** What the command line, the manual, completion and the reference know of the program. */
export const table = {
  name: "nexcage-agent",
  about: "Containers on this host.",
  groups: [],
  commands: [
    create,
    run,
    start,
    state,
    list,
    ps,
    kill,
    stop,
    restart,
    pause,
    resume,
    update,
    deleteCommand,
    exec,
    events,
    logs,
    spec,
    route,
    features,
    doctor,
    metrics,
    serve,
    completionOf((): Table => table),
    versionCommand,
  ] as CommandModule[], // each has options of its own
  commonOptions: {
    root: {
      type: "string",
      requiresArg: true,
      completes: "folder",
      describe: "folder of the OCI state; the agent's others move into it",
    },
    config: {
      type: "string",
      requiresArg: true,
      defaultDescription: "/etc/nexcage/config.yaml, else config.json there",
      completes: "file",
      describe: "file with this host's settings; 0.7's config.json too",
    },
    "log-level": { type: "string", choices: logLevels, describe: "what goes to stderr" },
    "log-format": {
      type: "string",
      choices: logFormats,
      defaultDescription: "text; json for serve, and with -o json",
      describe: "how the log is written, there and by --log",
    },
    "lock-timeout": {
      type: "string",
      requiresArg: true,
      describe: "how long to wait for another command on the same container, such as 30s",
    },
    output: {
      alias: "o",
      type: "string",
      choices: ["text", "json"] as const,
      describe: "how results are printed",
    },
    ...ociCommonOptions,
  },
  bareOptions: {
    help: { alias: ["h"], type: "boolean", describe: "show help" },
    version: { alias: ["v", "V"], type: "boolean", describe: "print the version" },
  },
  exitStatuses,
  names: { from: "records", variable: "NEXCAGE_LIB_DIR", folder: agentPaths({}).lib },
} as const satisfies Table;
