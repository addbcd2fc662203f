// pvesm: storages and volumes.
import { Failure, ParameterFailure } from "./failure.ts";
import {
  allocateNamed,
  freeVolume,
  listStorages,
  listVolumes,
  requireStorage,
  type Storage,
  storageRoom,
  volumePath,
} from "./storage.ts";

type Words = { positionals: string[]; options: Map<string, string> };

function split(words: readonly string[]): Words {
  const positionals: string[] = [];
  const options = new Map<string, string>();
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word.startsWith("-")) options.set(word.replace(/^--?/, ""), words[++index] ?? "");
    else positionals.push(word);
  }
  return { positionals, options };
}

/** Fields as recorded: `path` does not ask whether the file is there, `free` not whether a conf uses it. */
export async function pvesm([command = "", ...words]: readonly string[]): Promise<number> {
  const { positionals, options } = split(words);
  const [first = "", vmid = "", name = "", size = ""] = positionals;
  switch (command) {
    case "status":
      printStatus(options.get("storage"));
      return 0;
    case "list":
      printVolumes(requireStorage(first), options);
      return 0;
    case "path":
      process.stdout.write(`${volumePath(requireVolid(first))}\n`);
      return 0;
    case "alloc":
      process.stdout.write(`successfully created '${await allocateNamed(first, { vmid, name, size })}'\n`);
      return 0;
    case "free":
      await freeVolume(requireVolid(first));
      process.stdout.write(`Removed volume '${first}'\n`);
      return 0;
    default:
      throw new Failure(`ERROR: unknown command 'pvesm ${command}'\nUSAGE: pvesm <COMMAND> [ARGS] [OPTIONS]`);
  }
}

function requireVolid(volid: string): string {
  if (!/^[a-z][a-z0-9\-_.]*:.+$/i.test(volid))
    throw new ParameterFailure({ volume: `invalid format - unable to parse volume ID '${volid}'` });
  return volid;
}

function printStatus(only: string | undefined): void {
  const storages = listStorages().filter(({ name }) => only === undefined || name === only);
  if (storages.length === 0) throw new Failure("storage: No such storage.");
  const head = ["Name", "Type", "Status", "Total (KiB)", "Used (KiB)", "Available (KiB)", "%"];
  const rows = [head, ...storages.map(statusRow)];
  const widths = [-1 - Math.max(4, ...storages.map(({ name }) => name.length)), 10, 10, 15, 15, 15, 8];
  const print = (row: string[]) => row.map((cell, column) => pad(cell, widths[column] ?? 0)).join(" ");
  process.stdout.write(rows.map((row) => `${print(row)}\n`).join(""));
}

/** As printf does it: to the left where the width is negative. */
function pad(cell: string, width: number): string {
  return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
}

function statusRow(storage: Storage): string[] {
  const { name, type, disabled } = storage;
  const { total, used, avail } = disabled ? { total: 0, used: 0, avail: 0 } : storageRoom(storage);
  const numbers = [total, used, avail].map((bytes) => String(Math.trunc(bytes / 1024)));
  const share = total === 0 ? "0.00" : ((used / total) * 100).toFixed(2);
  return [name, type, disabled ? "disabled" : "active", ...numbers, disabled ? "N/A" : `${share}%`];
}

function printVolumes(storage: Storage, options: Map<string, string>): void {
  const volumes = listVolumes(storage).filter(
    ({ content, vmid }) =>
      (options.get("content") ?? content) === content && (options.get("vmid") ?? vmid) === vmid,
  );
  const width = Math.max(5, ...volumes.map(({ volid }) => volid.length));
  const lines = volumes.map(({ volid, format, content, size, vmid }) =>
    `${volid.padEnd(width)} ${format.padEnd(7)} ${content.padEnd(9)} ${String(size).padStart(10)} ${vmid}`.trimEnd(),
  );
  const head = `${"Volid".padEnd(width)} ${"Format".padEnd(7)} ${"Type".padEnd(9)} ${"Size".padStart(10)} VMID`;
  process.stdout.write([head, ...lines].map((line) => `${line}\n`).join(""));
}
