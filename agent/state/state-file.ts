import { rmSync } from "node:fs";
import type { ContainerId } from "../../shared/ids.ts";
import type { OciState } from "../../shared/oci.ts";
import type { Paths } from "../paths.ts";
import { readText, writeWhole } from "./files.ts";

/**
 * `/run/nexcage/<id>/state.json`: OCI state JSON, for whoever looks without asking the agent. Nothing is
 * learnt from it: it is made from what is observed, and made again where it differs.
 */
export type StateFiles = {
  /** Whether the file says exactly this. */
  says(id: ContainerId, state: OciState): boolean;
  write(id: ContainerId, state: OciState): Promise<void>;
  /** Removes the container's whole folder below /run. */
  remove(id: ContainerId): void;
};

export function openStateFiles(paths: Paths): StateFiles {
  const textOf = (state: OciState): string => `${JSON.stringify(state)}\n`;
  return {
    says: (id, state) => readText(paths.stateFile(id)) === textOf(state),
    write: (id, state) => writeWhole(paths.stateFile(id), textOf(state), { mode: 0o644 }),
    remove: (id) => rmSync(paths.stateFolder(id), { recursive: true, force: true }),
  };
}
