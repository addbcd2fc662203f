import { isTemplateFile } from "../../../shared/templates.ts";
import { readNames, readText } from "../../state/files.ts";

/** A storage of `/etc/pve/storage.cfg`. */
export type Storage = { name: string; type: string; content: string[]; path?: string | undefined };

/**
 * The storages of this node that are switched on. Pure.
 * @param text sections `TYPE: NAME` with tab-indented `key value`, an empty line between them
 */
export function parseStorages(text: string, node: string): Storage[] {
  return text.split(/\n\s*\n/).flatMap((section): Storage[] => {
    const [head = "", ...lines] = section.trim().split("\n");
    const [, type, name] = /^(\S+):\s*(\S+)\s*$/.exec(head) ?? [];
    if (type === undefined || name === undefined) return [];
    const values = new Map(
      lines.map((line): [string, string] => {
        const [key = "", ...value] = line.trim().split(/\s+/);
        return [key, value.join(" ")];
      }),
    );
    const isHere = values.get("nodes")?.split(",").includes(node) ?? true;
    if (!isHere || values.has("disable")) return [];
    return [{ name, type, content: (values.get("content") ?? "").split(","), path: values.get("path") }];
  });
}

export function readStorages(node: string): Storage[] {
  return parseStorages(readText("/etc/pve/storage.cfg") ?? "", node);
}

/** The templates of storages that are folders, by volume. */
export function readTemplates(storages: readonly Storage[]): string[] {
  return storages.flatMap((storage) =>
    readNames(templateFolder(storage) ?? "")
      .filter(isTemplateFile)
      .sort()
      .map((file) => `${storage.name}:vztmpl/${file}`),
  );
}

/** The folder in which a storage has its templates; undefined for one that is no folder. Pure. */
export function templateFolder({ path }: Storage): string | undefined {
  return path === undefined ? undefined : `${path}/template/cache`;
}
