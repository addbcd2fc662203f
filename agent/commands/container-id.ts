import type { Argv } from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { type ContainerId, parseContainerId } from "../../shared/ids.ts";

/** A container's id as OCI runtimes take it, or as NexCage 0.7 did: `--name ID`. */
export function withId<T>(yargs: Argv<T>) {
  return yargs
    .positional("id", { type: "string", completes: "containers", describe: "container id" })
    .option("name", {
      type: "string",
      requiresArg: true,
      completes: "containers",
      describe: "the container id, said as an option",
    });
}

/** @throws {NexcageError} `USAGE` for none or two, `INVALID_ID` */
export function idOf(
  { id, name }: { id?: string | undefined; name?: string | undefined },
  command: string,
): ContainerId {
  if ((id === undefined) === (name === undefined))
    throw new NexcageError("USAGE", `${command} needs one container id`, {
      hint: `nexcage-agent ${command} ID, or --name ID; those that there are: nexcage-agent list`,
    });
  return parseContainerId(id ?? name ?? "");
}
