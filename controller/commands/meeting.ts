import type { Argv } from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import type { MeetOptions } from "../init/meet.ts";
import { askYesNo } from "./ask.ts";

/** The options of commands that meet hosts whose keys are not known yet. */
export function meetingOptions<A>(yargs: Argv<A>) {
  return yargs
    .option("host-key", {
      type: "string",
      array: true,
      requiresArg: true,
      describe: "a fingerprint to say yes to, as ssh-keygen -lf shows it: SHA256:…",
    })
    .option("accept-new", {
      type: "boolean",
      default: false,
      describe: "say yes to the key of any host that is not known yet",
    })
    .option("identity", {
      alias: "i",
      type: "string",
      requiresArg: true,
      completes: "file",
      describe: "the private key to log in with [default: as ssh does]",
    });
}

/** How the key of a host that is not known is judged: by the options, else by who sits at the terminal. */
export function confirmKey(
  argv: { "host-key": string[] | undefined; "accept-new": boolean },
  { signal }: { signal: AbortSignal },
): MeetOptions["confirmKey"] {
  return async (fingerprint, error) => {
    const [what] = error.message.split(", and no known_hosts");
    process.stderr.write(`${what}\n`);
    if (argv["accept-new"] || argv["host-key"]?.includes(fingerprint) === true) return true;
    if (argv["host-key"] === undefined && process.stdin.isTTY && process.stderr.isTTY)
      return await askYesNo("Is that the key of this host?", { signal });
    throw new NexcageError(error.code, error.message, {
      hint: `if the host says the same (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub there): --host-key ${fingerprint}`,
      details: error.details,
      cause: error,
    });
  };
}
