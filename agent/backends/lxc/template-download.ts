import { join } from "node:path";
import { NexcageError } from "../../../shared/errors.ts";
import { downloadOf, templateOf } from "../../../shared/proxmox-node.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import { findTemplate } from "../../../shared/templates.ts";
import type { Log } from "../../log.ts";
import type { LockFile } from "../../state/lock.ts";
import type { OnStep } from "../backend.ts";
import { readNode } from "./check.ts";
import { runProgram } from "./pct.ts";

type DownloadOptions = {
  lockFolder: string;
  lockFile: LockFile;
  log: Log;
  onStep: OnStep;
  signal: AbortSignal;
};

const timeouts = { look: 120_000, download: 1_800_000 } as const;

/**
 * Has pveam(1) download the template that a container wants, where the node has none and the spec allows it. Who
 * wants the same meanwhile waits, and finds it there. pveam checks what it got by its checksum.
 * @throws {NexcageError} `IMAGE_MISSING` where pveam does not know it, or its checksum is wrong; `DISK_FULL`
 */
export async function downloadTemplate(spec: ContainerSpec, options: DownloadOptions): Promise<void> {
  if (downloadOf(spec, readNode()) === undefined) return;
  const { lockFolder, lockFile, log, onStep, signal } = options;
  await using _lock = await lockFile(join(lockFolder, "pveam"), { wait: true, signal });
  const download = downloadOf(spec, readNode());
  if (download === undefined) return; // it was downloaded for another container
  const { template, storage } = download;
  const run = async (words: string[], timeoutMs: number) =>
    await runProgram("pveam", words, { log, signal, timeoutMs });

  const update = await run(["update"], timeouts.look);
  // It exits with 0 in both cases; the list of its last update may do.
  const isOld = !/update successful/.test(update.stdout);
  if (isOld) log.warn({ stderr: update.stderr }, "pveam update failed");
  const { stdout } = await run(["available"], timeouts.look);
  const file = findTemplate(template, filesOf(stdout), { architecture: process.arch });
  signal.throwIfAborted();
  if (file === undefined) throw unknown(template, filesOf(stdout), { isOld });

  await onStep(`downloading ${file}`);
  const result = await run(["download", storage, file], timeouts.download);
  signal.throwIfAborted();
  if (templateOf(spec, readNode()) !== undefined && result.exitCode === 0) return;
  const said = result.timedOut
    ? `it did not end within ${timeouts.download / 60_000} minutes`
    : (`${result.stdout}\n${result.stderr}`.trim().split("\n").at(-1) ?? "");
  const code = /No space left|not enough (free )?space/i.test(said) ? "DISK_FULL" : "IMAGE_MISSING";
  throw new NexcageError(code, `template: pveam download ${storage} ${file}: ${said}`, {
    hint: "see Proxmox's task log; apply again tries again",
  });
}

/** Of `pveam available`: section, file, and since PVE 9 the architecture. Pure. */
function filesOf(text: string): string[] {
  return text.split("\n").flatMap((line) => line.trim().split(/\s+/)[1] ?? []);
}

function unknown(template: string, files: string[], { isOld }: { isOld: boolean }): NexcageError {
  const [family = ""] = template.split("-");
  const alike = files.filter((file) => file.startsWith(family));
  return new NexcageError("IMAGE_MISSING", `template: pveam knows no ${template}`, {
    hint: [
      `it knows ${alike.join(", ") || `${files.length} others: pveam available`}`,
      ...(isOld ? ["pveam update failed: see /var/log/pveam.log"] : []),
    ].join("; "),
  });
}
