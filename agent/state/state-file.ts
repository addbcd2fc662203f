import { mkdir, rm } from "node:fs/promises";
import writeFileAtomic from "write-file-atomic";
import type { ContainerId } from "../../shared/ids.ts";
import { OciState } from "../../shared/oci.ts";
import type { Paths } from "../paths.ts";
import { readJsonFile } from "./files.ts";

/**
 * `/run/nexcage/<id>/state.json`: OCI state JSON, for whoever looks without asking the agent. Written
 * whole or not at all; a broken one counts as missing, since it is made again from what is observed.
 */
export type StateFiles = {
  read(id: ContainerId): Promise<OciState | undefined>;
  write(id: ContainerId, state: OciState): Promise<void>;
  remove(id: ContainerId): Promise<void>;
};

export function openStateFiles(paths: Paths): StateFiles {
  return {
    read: (id) => readJsonFile(paths.stateFile(id), OciState).catch(() => undefined),
    async write(id, state) {
      await mkdir(paths.containerRun(id), { recursive: true, mode: 0o711 });
      await writeFileAtomic(paths.stateFile(id), `${JSON.stringify(state)}\n`, { mode: 0o644 });
    },
    remove: (id) => rm(paths.containerRun(id), { recursive: true, force: true }),
  };
}
