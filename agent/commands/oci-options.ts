import type { Argv } from "yargs";
import { NexcageError } from "../../shared/errors.ts";

/*
 * What OCI runtimes take, by crun's words and runc's. Containers of libcrun's door (native/oci/) honour them; those of
 * the fleet and of other runtimes have none of it, and say so.
 */

/** What each command takes as those runtimes do. */
export const ociCommonOptions = {
  log: {
    type: "string",
    requiresArg: true,
    completes: "file",
    describe: "where errors are written too: a file, file:PATH or syslog:NAME",
  },
  debug: { type: "boolean", describe: "write what the runtime does, too" },
  "systemd-cgroup": { type: "boolean", describe: "refused: cgroups are written directly" },
  "cgroup-manager": { choices: ["cgroupfs", "disabled"] as const, describe: "who makes cgroups" },
  rootless: { type: "string", requiresArg: true, describe: "true, false or auto; root's are not rootless" },
} as const;

const descriptors = (describe: string) => ({ type: "number", requiresArg: true, describe }) as const;
const file = (describe: string) =>
  ({ type: "string", requiresArg: true, completes: "file", describe }) as const;
const toggle = (describe: string) => ({ type: "boolean", describe }) as const;
const text = (describe: string) => ({ type: "string", requiresArg: true, describe }) as const;

const created = {
  "pid-file": file("where the pid of the container's init is written"),
  "console-socket": file("the socket that gets the terminal of a container that has one"),
  "preserve-fds": descriptors("how many more descriptors, from 3 on, the container gets"),
  "no-pivot": toggle("enter the root by chroot's means, on a ramdisk"),
  "no-new-keyring": toggle("stay in the caller's session keyring"),
  "no-subreaper": toggle("accepted: nothing is reaped here"),
} as const;

/** For `create` and `run`. */
export function withOciCreate<T>(yargs: Argv<T>) {
  return yargs
    .option("config", {
      ...file(
        "a file in place of the bundle's config.json; *.yaml, or before the command: the host's settings",
      ),
      alias: "f",
    })
    .option("pid-file", created["pid-file"])
    .option("console-socket", created["console-socket"])
    .option("preserve-fds", created["preserve-fds"])
    .option("no-pivot", created["no-pivot"])
    .option("no-new-keyring", created["no-new-keyring"])
    .option("no-subreaper", created["no-subreaper"]);
}

const process = {
  process: { ...file("a file with the whole process, as in config.json"), alias: "p" },
  detach: { ...toggle("do not wait for it"), alias: "d" },
  "console-socket": file("the socket that gets its terminal"),
  "pid-file": file("where its pid is written"),
  "preserve-fds": descriptors("how many more descriptors, from 3 on, it gets"),
  cap: { ...text("a capability that it has too"), alias: "c", array: true, nargs: 1 },
  cgroup: text("a cgroup below the container's that it runs in; with cgroup v2"),
  "no-new-privs": toggle("it cannot gain privileges"),
  apparmor: text("its AppArmor profile"),
  "process-label": text("its SELinux label"),
  "ignore-paused": toggle("refused: nothing starts in a paused container"),
  "additional-gids": { ...text("a group that it is in too"), alias: "g", array: true, nargs: 1 },
} as const;

/** For `exec`. */
export function withOciProcess<T>(yargs: Argv<T>) {
  return yargs
    .option("process", process.process)
    .option("detach", process.detach)
    .option("console-socket", process["console-socket"])
    .option("pid-file", process["pid-file"])
    .option("preserve-fds", process["preserve-fds"])
    .option("cap", process.cap)
    .option("cgroup", process.cgroup)
    .option("no-new-privs", process["no-new-privs"])
    .option("apparmor", process.apparmor)
    .option("process-label", process["process-label"])
    .option("ignore-paused", process["ignore-paused"])
    .option("additional-gids", process["additional-gids"]);
}

/** For commands that crun lets act on each container whose id matches. */
export function withRegex<T>(yargs: Argv<T>) {
  return yargs.option("regex", {
    alias: "r",
    type: "boolean",
    describe: "the id is a pattern; of OCI clients' containers only",
  });
}

/**
 * Refuses what only a container of an OCI client's can have.
 * @param given the parsed command line
 * @throws {NexcageError} `USAGE`
 */
export function refuseOciOptions(given: Readonly<Record<string, unknown>>, command: string): void {
  const names = [...Object.keys(command === "exec" ? process : created), "keep", "regex"];
  const name = names.find((one) => given[one] !== undefined && given[one] !== false);
  if (name === undefined) return;
  throw new NexcageError("USAGE", `--${name} is for containers of OCI clients, on libcrun`, {
    hint: `leave it out; nexcage-agent ${command} --help`,
  });
}
