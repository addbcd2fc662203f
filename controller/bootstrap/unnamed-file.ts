import { openSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let count = 0;

/** Bytes as a file: its path is this process's alone, and nothing of it is left when that ends, however it ends. */
export function unnamedFile(bytes: Buffer): string {
  count += 1;
  const name = join(tmpdir(), `nexcage-${process.pid}-${count}-${Date.now()}`);
  const fd = openSync(name, "wx+", 0o600); // never through a link of somebody else's
  unlinkSync(name);
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
  return `/proc/self/fd/${fd}`;
}
