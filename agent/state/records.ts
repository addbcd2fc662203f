import { mkdir, readdir, rm } from "node:fs/promises";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { asNexcageError, hasCode, type NexcageError } from "../../shared/errors.ts";
import { ContainerId, Digest, OperationId } from "../../shared/ids.ts";
import { BackendName, ContainerSpec } from "../../shared/spec.ts";
import type { Paths } from "../paths.ts";
import { readJsonFile } from "./files.ts";

/** What is known of a container over a reboot. It is there from when the container stands until it is deleted. */
export const ContainerRecord = z.object({
  id: ContainerId,
  backend: BackendName,
  spec: ContainerSpec,
  digest: Digest,
  fleet: z.string().optional(),
  createdAt: z.iso.datetime(),
  /** The operation that made it as it is: tells recovery whether that one came so far. */
  operationId: OperationId,
  /** A replacement has begun to take it away: it cannot be kept any more. */
  doomed: z.boolean().optional(),
});
export type ContainerRecord = z.infer<typeof ContainerRecord>;

export type Records = {
  /** @throws {NexcageError} `STATE_CORRUPT` */
  read(id: ContainerId): Promise<ContainerRecord | undefined>;
  write(record: ContainerRecord): Promise<void>;
  remove(id: ContainerId): Promise<void>;
  /** All of them, sorted by id; those that cannot be read are told apart and do not hide the others. */
  list(): Promise<{ records: ContainerRecord[]; broken: NexcageError[] }>;
};

export function openRecords(paths: Paths): Records {
  return {
    read: (id) => readJsonFile(paths.record(id), ContainerRecord),
    async write(record) {
      await mkdir(paths.records, { recursive: true, mode: 0o700 });
      await writeFileAtomic(paths.record(record.id), `${JSON.stringify(record)}\n`, { mode: 0o600 });
    },
    remove: (id) => rm(paths.record(id), { force: true }),
    async list() {
      const names = (await readNames(paths.records)).filter((name) => name.endsWith(".json")).sort();
      const broken: NexcageError[] = [];
      const records = await Promise.all(
        names.map(async (name) => {
          try {
            return await readJsonFile(`${paths.records}/${name}`, ContainerRecord);
          } catch (error) {
            broken.push(asNexcageError(error));
            return undefined;
          }
        }),
      );
      return { records: records.filter((record) => record !== undefined), broken };
    },
  };
}

/** The names in a folder; none where it is missing. */
export async function readNames(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}
