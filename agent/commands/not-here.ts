import { NexcageError } from "../../shared/errors.ts";

/**
 * For what the launcher answers by itself (native/oci/): it comes here only with options that it does not know, or
 * where the program was started without the launcher.
 * @throws {NexcageError} `BACKEND_UNAVAILABLE`
 */
export function throwNotHere(command: string): never {
  throw new NexcageError(
    "BACKEND_UNAVAILABLE",
    `${command} needs libcrun, which is in the installed program`,
    {
      hint: `without -o, by the launcher: nexcage-agent ${command}`,
    },
  );
}
