import { join } from "node:path";
import * as z from "zod";
import { asNexcageError, type NexcageError } from "../../shared/errors.ts";
import { ContainerId, Digest, OperationId } from "../../shared/ids.ts";
import { BackendName, ContainerSpec } from "../../shared/spec.ts";
import type { Paths } from "../paths.ts";
import { readJson, readNames, removeWhole, writeWhole } from "./files.ts";

/** What is known of a container over a reboot. It is there from when the container stands until it is deleted. */
export const ContainerRecord = z.object({
  id: ContainerId,
  backend: BackendName,
  spec: ContainerSpec,
  digest: Digest,
  fleet: z.string().optional(),
  createdAt: z.iso.datetime(),
  startedAt: z.iso.datetime().optional(),
  /** The operation that made it as it is: tells recovery whether that one came so far. */
  operationId: OperationId,
});
export type ContainerRecord = z.infer<typeof ContainerRecord>;

export type Records = {
  /** @throws {NexcageError} `STATE_CORRUPT` */
  read(id: ContainerId): ContainerRecord | undefined;
  write(record: ContainerRecord): Promise<void>;
  remove(id: ContainerId): Promise<void>;
  /** Sorted by id; those that cannot be read are told apart and do not hide the others. */
  list(): { records: ContainerRecord[]; broken: NexcageError[] };
};

export function openRecords(paths: Paths): Records {
  const readRecord = (path: string, id: string) =>
    readJson(path, ContainerRecord, `to remove what is left of it: nexcage-agent delete --force ${id}`);
  return {
    read: (id) => readRecord(paths.record(id), id),
    write: (record) => writeWhole(paths.record(record.id), `${JSON.stringify(record)}\n`, { mode: 0o600 }),
    remove: async (id) => removeWhole(paths.record(id)),
    list() {
      const records: ContainerRecord[] = [];
      const broken: NexcageError[] = [];
      for (const name of readNames(paths.records)) {
        if (!name.endsWith(".json")) continue; // one that is being written
        try {
          const record = readRecord(join(paths.records, name), name.slice(0, -".json".length));
          if (record !== undefined) records.push(record);
        } catch (error) {
          broken.push(asNexcageError(error));
        }
      }
      return { records, broken };
    },
  };
}
