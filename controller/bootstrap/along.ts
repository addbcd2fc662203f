import { readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { getAssetKeys, getRawAsset, isSea } from "node:sea";
import { unnamedFile } from "./unnamed-file.ts";

/* What comes along with nexcage and is no code of its own: beside its bundle, or inside where nexcage is one file. */

/** A folder that is read, wherever it is. */
export type Folder = {
  /** For messages. */
  path: string;
  read(name: string): Promise<Buffer>;
  size(name: string): Promise<number>;
  /** Of a file with these bytes. */
  pathOf(name: string): string;
};

export function readInstallScript(): Buffer {
  const name = "install.sh";
  return isSea() ? asset(name) : readFileSync(join(import.meta.dirname, name));
}

/** Beside the bundle in the product, in `dist/` of a clone. */
const places = ["agents", "../../dist/lib/nexcage/agents"].map((path) => join(import.meta.dirname, path));

/** The folders of the agents that came along, sorted; none where none did. */
export async function agentFolders(): Promise<Folder[]> {
  if (isSea()) {
    const names = getAssetKeys().flatMap((key) => /^agents\/[^/]+(?=\/build\.json$)/.exec(key) ?? []);
    return names.sort().map(assetFolder);
  }
  for (const place of places) {
    const names = await readdir(place).catch(() => []);
    if (names.length > 0) return names.sort().map((name) => folderAt(join(place, name)));
  }
  return [];
}

export function folderAt(path: string): Folder {
  return {
    path,
    read: (name) => readFile(join(path, name)),
    size: async (name) => (await stat(join(path, name))).size,
    pathOf: (name) => join(path, name),
  };
}

function assetFolder(path: string): Folder {
  const at = (name: string): Buffer => {
    const key = `${path}/${name}`;
    if (getAssetKeys().includes(key)) return asset(key);
    throw Object.assign(new Error(`${key} is not inside`), { code: "ENOENT" });
  };
  const paths = new Map<string, string>(); // one copy for all hosts
  return {
    path: `${process.execPath}:${path}`,
    read: async (name) => at(name),
    size: async (name) => at(name).length,
    pathOf(name) {
      const path = paths.get(name) ?? unnamedFile(at(name));
      paths.set(name, path);
      return path;
    },
  };
}

/** Not copied: it must not be written to. */
const asset = (key: string): Buffer => Buffer.from(getRawAsset(key));
