import type { Argv } from "yargs";
import { NexcageError } from "../../shared/errors.ts";
import { command } from "./command.ts";
import { idOf, withId } from "./container-id.ts";
import { openAgent } from "./open.ts";

const bytes = (describe: string) => ({ type: "string", requiresArg: true, describe }) as const;
const limit = bytes;

/** Of a container that an OCI client made, and then the launcher itself does it (native/oci/update.c). */
export const update = command({
  command: "update [id]",
  describe: "Change the limits of a running container that an OCI client made",
  builder: (yargs) => withLimits(withId(yargs)),
  async handler({ id, name, ...globals }) {
    const containerId = idOf({ id, name }, "update");
    await using opened = await openAgent(globals);
    const { fleet, backend } = await opened.runtime.state(containerId, opened);
    throw new NexcageError("SPEC_REFUSED", `container ${containerId} of ${backend} is not an OCI client's`, {
      hint:
        fleet === undefined ? "make it anew with other limits" : `change fleet ${fleet}, then: nexcage apply`,
    });
  },
});

function withLimits<T>(yargs: Argv<T>) {
  return yargs
    .option("resources", {
      ...bytes("a file with linux.resources as in config.json; - is stdin"),
      alias: "r",
      completes: "file",
    })
    .option("memory", bytes("bytes, as in 64m; -1 is no limit"))
    .option("memory-swap", bytes("memory and swap together"))
    .option("memory-reservation", bytes("what it keeps when memory is short"))
    .option("kernel-memory", bytes("memory of the kernel's for it"))
    .option("kernel-memory-tcp", bytes("of that, for TCP"))
    .option("cpu-period", limit("µs of a period"))
    .option("cpu-quota", limit("µs of CPU in a period"))
    .option("cpu-share", limit("weight against others"))
    .option("cpu-rt-period", limit("µs of a real-time period"))
    .option("cpu-rt-runtime", limit("µs of real-time CPU in it"))
    .option("cpuset-cpus", limit("CPUs, as in 0-3"))
    .option("cpuset-mems", limit("memory nodes, as in 0,1"))
    .option("pids-limit", limit("processes"))
    .option("blkio-weight", limit("weight of its block I/O"))
    .option("l3-cache-schema", limit("of Intel RDT"))
    .option("mem-bw-schema", limit("of Intel RDT"));
}
