import { join } from "node:path";
import * as z from "zod";
import { readText } from "../../state/files.ts";
import { parseFile } from "../oci/json-file.ts";
import type { OciRuntimeKind } from "../oci/oci-runtime.ts";

/** `<root>/<id>/status`, as libcrun 1.21 writes it when the container is made. */
const Status = z.object({ pid: z.int(), "process-start-time": z.int(), "cgroup-path": z.string() });

/**
 * libcrun, in this process.
 * @param directory where its library is, as `native/build` makes it
 */
export function crun(directory: string): OciRuntimeKind {
  let loading: ReturnType<OciRuntimeKind["load"]> | undefined;
  async function load() {
    const { loadNative } = await import("./native.ts");
    return await loadNative(directory);
  }
  return {
    name: "crun",
    readInit(folder) {
      const status = parseFile(Status, readText(join(folder, "status")));
      if (status === undefined) return undefined;
      return { pid: status.pid, startTicks: status["process-start-time"], cgroup: status["cgroup-path"] };
    },
    load() {
      loading ??= load();
      return loading;
    },
  };
}
