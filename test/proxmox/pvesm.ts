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
  const width = Math.max(4, ...storages.map(({ name }) => name.length));
  const heads = ["Total (KiB)", "Used (KiB)", "Available (KiB)"].map((head) => head.padStart(15));
  const lines = storages.map((storage) => statusLine(storage, width));
  process.stdout.write(
    [`${"Name".padEnd(width)}         Type     Status ${heads.join("")}        %\n`, ...lines].join(""),
  );
}

function statusLine(storage: Storage, width: number): string {
  const { total, used, avail } = storage.disabled ? { total: 0, used: 0, avail: 0 } : storageRoom(storage);
  const numbers = [total, used, avail].map((bytes) => String(Math.trunc(bytes / 1024)).padStart(15));
  const share = storage.disabled ? "N/A" : `${total === 0 ? "0.00" : ((used / total) * 100).toFixed(2)}%`;
  const state = storage.disabled ? "disabled" : "active";
  return `${storage.name.padEnd(width)} ${storage.type.padStart(12)} ${state.padStart(10)} ${numbers.join("")} ${share.padStart(8)}\n`;
}

function printVolumes(storage: Storage, options: Map<string, string>): void {
  const volumes = listVolumes(storage).filter(
    ({ content, vmid }) =>
      (options.get("content") ?? content) === content && (options.get("vmid") ?? vmid) === vmid,
  );
  const width = Math.max(5, ...volumes.map(({ volid }) => volid.length));
  const lines = volumes.map(({ volid, format, content, size, vmid }) =>
    `${volid.padEnd(width)} ${format.padEnd(7)} ${content.padEnd(9)} ${String(size).padStart(12)} ${vmid}`.trimEnd(),
  );
  const head = `${"Volid".padEnd(width)} ${"Format".padEnd(7)} ${"Type".padEnd(9)} ${"Size".padStart(12)} VMID`;
  process.stdout.write([head, ...lines].map((line) => `${line}\n`).join(""));
}
