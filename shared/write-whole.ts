import { fchmodSync, mkdirSync, renameSync, rmSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes a file whole or not at all, on disk when it returns; its folder is made. Who writes one path at the
 * same time as others in this process must hold a lock. Only what may wait for the disk leaves the thread.
 */
export async function writeWhole(path: string, text: string, { mode }: { mode: number }): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  const draft = `${path}.${process.pid}.new`;
  try {
    await using file = await open(draft, "w", mode);
    fchmodSync(file.fd, mode); // whatever the umask says
    writeSync(file.fd, text);
    await file.sync();
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
