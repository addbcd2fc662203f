import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { NexcageError } from "../../shared/errors.ts";
import { expandPath } from "../inventory/local-path.ts";
import type { Address } from "./address.ts";
import { fleetFileText, inventoryFileText, type NamedHost, nameHosts } from "./files.ts";
import { type MeetOptions, type Met, meetHost } from "./meet.ts";

export type InitOptions = Omit<MeetOptions, "identityFiles"> & {
  /** Where the files are written. */
  folder: string;
  home: string;
  /** The fleet's; the folder's where there is none. */
  name: string | undefined;
  /** A private key, as the user wrote it. */
  identity: string | undefined;
};

/**
 * Files that are there are a user's work.
 * @throws {NexcageError} `REFUSED`
 */
export async function requireNewFiles(folder: string): Promise<void> {
  for (const name of ["inventory.yaml", "fleet.yaml"])
    if (existsSync(join(folder, name)))
      throw new NexcageError("REFUSED", `${name} is in this folder already`, {
        hint: "nexcage inventory check reads it; a new one wants another folder",
      });
}

/**
 * Meets the hosts, one after the other since each may ask, and writes the files that a fleet begins with.
 * @throws {NexcageError} `REFUSED` where there are such files, and as {@link meetHost}; nothing is written then
 */
export async function initialise(
  addresses: Address[],
  { folder, home, name, identity, ...options }: InitOptions,
): Promise<{ hosts: NamedHost[] }> {
  const identityFiles =
    identity === undefined ? [] : [expandPath(identity, { file: join(folder, "-"), home })];
  const met: Met[] = [];
  for (const address of addresses) met.push(await meetHost(address, { ...options, identityFiles }));
  const hosts = nameHosts(met);
  const exclusive = { flag: "wx" } as const;
  await writeFile(join(folder, "inventory.yaml"), inventoryFileText(hosts, { identity }), exclusive);
  await writeFile(join(folder, "fleet.yaml"), fleetFileText(name ?? fleetName(folder), hosts), exclusive);
  return { hosts };
}

/** A folder's name in the words of a fleet's. */
function fleetName(folder: string): string {
  const name = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, "-")
    .replace(/^[^a-z]+|-+$/g, "");
  return name === "" ? "fleet" : name.slice(0, 40);
}
