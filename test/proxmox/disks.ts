// The table of `pct df`.
import { mkdirSync, statfsSync } from "node:fs";
import type { Conf } from "./conf.ts";
import { initPid } from "./lxc.ts";
import { rootfsDir } from "./paths.ts";
import { mountPoints, mountVolumes, unmountVolumes } from "./volumes.ts";

/** `MP Volume Size Used Avail Use% Path`; a stopped container is mounted for it. */
export async function printDisks(vmid: string, conf: Conf): Promise<string> {
  const pid = await initPid(vmid);
  if (pid !== undefined) return table(rows(conf, `/proc/${pid}/root`));
  mkdirSync(rootfsDir(vmid), { recursive: true });
  await mountVolumes(vmid, conf);
  try {
    return table(rows(conf, rootfsDir(vmid)));
  } finally {
    await unmountVolumes(vmid);
  }
}

function rows(conf: Conf, root: string): string[][] {
  return mountPoints(conf).map(({ key, volume, path }) => {
    const { blocks, bfree, bavail, bsize } = statfsSync(`${root}${path}`);
    const used = (blocks - bfree) * bsize;
    const share = blocks === 0 ? 0 : (100 * used) / (blocks * bsize);
    return [key, volume, human(blocks * bsize), human(used), human(bavail * bsize), share.toFixed(1), path];
  });
}

function human(bytes: number): string {
  const units = ["B", "K", "M", "G", "T"];
  const unit = Math.min(Math.trunc(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${(bytes / 1024 ** unit).toFixed(1)}${units[unit]}`;
}

function table(body: string[][]): string {
  const all = [["MP", "Volume", "Size", "Used", "Avail", "Use%", "Path"], ...body];
  const widths =
    all[0]?.map((_, column) => Math.max(...all.map((line) => (line[column] ?? "").length))) ?? [];
  const isText = [true, true, false, false, false, false, true];
  const print = (line: string[]) =>
    line
      .map((cell, column) =>
        isText[column] ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join(" ");
  return all.map((line) => `${print(line).trimEnd()}\n`).join("");
}
