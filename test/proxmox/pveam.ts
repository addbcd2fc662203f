// pveam: templates, and the list of those that can be downloaded.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { Failure, ParameterFailure } from "./failure.ts";
import { readKnobs } from "./knobs.ts";
import { listVolumes, requireStorage, volumePath } from "./storage.ts";

/** What `update` brings, and `download` reads: a test puts an index and archives of its own there. */
const mirror = "/var/lib/pve-manager/mirror";
const index = "/var/lib/pve-manager/apl-info/download.proxmox.com";

type Appliance = { section: string; template: string; architecture: string; sha512: string };

export async function pveam([command = "", ...words]: readonly string[]): Promise<number> {
  const [first = "", second = ""] = words.filter((word) => !word.startsWith("-"));
  switch (command) {
    case "list":
      printTemplates(first);
      return 0;
    case "available":
      printAvailable(words.includes("--section") ? first : undefined);
      return 0;
    case "update":
      return update();
    case "download":
      download(first, second);
      return 0;
    case "remove":
      return remove(first);
    default:
      throw new Failure(`ERROR: unknown command 'pveam ${command}'\nUSAGE: pveam <COMMAND> [ARGS] [OPTIONS]`);
  }
}

function printTemplates(storage: string): void {
  const templates = listVolumes(requireStorage(storage)).filter(({ content }) => content === "vztmpl");
  const row = (name: string, size: string) => `${name.padEnd(60)} ${size.padEnd(6)}\n`;
  const rows = templates.map(({ volid, size }) => row(volid, `${(size / 2 ** 20).toFixed(2)}MB`));
  process.stdout.write([row("NAME", "SIZE"), ...rows].join(""));
}

/** Exit 0 in both cases. */
function update(): number {
  if (!existsSync(`${mirror}/index`)) {
    process.stderr.write("update failed - see /var/log/pveam.log for details\n");
    return 0;
  }
  copyFileSync(`${mirror}/index`, index);
  process.stdout.write("update successful\n");
  return 0;
}

/** Lines of `SECTION TEMPLATE ARCHITECTURE SHA512`. */
function readIndex(): Appliance[] {
  if (!existsSync(index)) {
    process.stderr.write(`unable to open file '${index}' - No such file or directory\n`);
    return [];
  }
  return readFileSync(index, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [section = "", template = "", architecture = "", sha512 = ""] = line.split(/\s+/);
      return { section, template, architecture, sha512 };
    });
}

function printAvailable(only: string | undefined): void {
  const isOld = readKnobs().pveVersion === 8;
  for (const { section, template, architecture } of readIndex())
    if (only === undefined || section === only)
      process.stdout.write(
        isOld
          ? `${section.padEnd(15)} ${template}\n`
          : `${section.padEnd(15)} ${template.padEnd(60)} ${architecture}\n`,
      );
}

function sha512(file: string): string {
  return createHash("sha512").update(readFileSync(file)).digest("hex");
}

function download(storage: string, template: string): void {
  requireStorage(storage);
  const appliance = readIndex().find((candidate) => candidate.template === template);
  if (appliance === undefined) throw new ParameterFailure({ template: "no such template" });
  const target = volumePath(`${storage}:vztmpl/${template}`);
  if (existsSync(target) && sha512(target) === appliance.sha512) {
    process.stdout.write(
      "calculating checksum of existing file...OK, got correct file already, no need to download\n",
    );
    return;
  }
  const draft = `${target}.tmp_dwnl.${process.pid}`;
  copyFileSync(`${mirror}/${template}`, draft);
  const got = sha512(draft);
  if (got !== appliance.sha512) {
    rmSync(draft);
    throw new Failure(`checksum mismatch: got '${got}' != expect '${appliance.sha512}'`);
  }
  process.stdout.write("calculating checksum...OK, checksum verified\n");
  renameSync(draft, target);
}

function remove(volid: string): number {
  const path = volumePath(volid);
  if (!existsSync(path)) throw new Failure(`volume '${volid}' does not exist`, { exitCode: 2 });
  rmSync(path);
  return 0;
}
