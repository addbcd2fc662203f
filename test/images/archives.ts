import { writeFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { type Header, pack } from "tar-stream";

/** An entry of a hand-made archive: a header, and the content of a file. */
export type Entry = Partial<Header> & { name: string; content?: string };

/** A tar with these entries, names and all as they are given: by another writer than ours. */
export async function tarOf(entries: Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of entries) archive.entry(header, content ?? "");
  archive.finalize();
  return await buffer(archive);
}

export async function writeTar(path: string, entries: Entry[]): Promise<string> {
  await writeFile(path, await tarOf(entries));
  return path;
}

/** The smallest image that can be used. */
export const smallImage: Entry[] = [
  { name: "bin/", type: "directory" },
  { name: "bin/hello", mode: 0o755, content: "#!/bin/sh\necho hello\n" },
];
