import { readFile } from "node:fs/promises";
import { resolve as resolvePath } from "node:path";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { parseDocuments, type YamlDocument } from "./documents.ts";
import { invalidFiles, type Mistake, type Report } from "./mistakes.ts";
import { type Explained, resolve } from "./resolve.ts";

export type LoadOptions = {
  /** As the user named them; none: `inventory.yaml` and, where there is one, `fleet.yaml`. */
  files: readonly string[];
  cwd: string;
  /** The user's home folder, for `~/` in paths. */
  home: string;
  /** For `${NAME}`. */
  environment: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
};

const inventoryFile = "inventory.yaml";
const fleetFile = "fleet.yaml";

/** The files of a command line that names these, or none. */
export function filesToRead(named: readonly string[]): Set<string> {
  return new Set(named.length > 0 ? named : [inventoryFile, fleetFile]);
}

/**
 * Reads, checks and resolves the user's files. All mistakes in them come as one error.
 * @throws {NexcageError} `INVALID_FILE`
 */
export async function loadInventory(options: LoadOptions): Promise<Explained> {
  const { files, home } = options;
  const mistakes: Mistake[] = [];
  const report: Report = (place, message, hint) => mistakes.push({ place, message, hint });
  const documents: YamlDocument[] = [];
  for (const file of filesToRead(files))
    documents.push(...(await readDocuments(file, { ...options, report })));
  const resolved = resolve(documents, { home, report });
  if (mistakes.length > 0) throw invalidFiles(mistakes);
  if (resolved.hosts.length === 0)
    throw new NexcageError("INVALID_FILE", `there is no host in ${files.join(", ") || inventoryFile}`, {
      hint: "a document with kind: Inventory names them under hosts",
    });
  return resolved;
}

async function readDocuments(
  file: string,
  { files, cwd, environment, report, signal }: LoadOptions & { report: Report },
): Promise<YamlDocument[]> {
  const path = resolvePath(cwd, file);
  const isOptional = files.length === 0 && file === fleetFile;
  const text = await readText(path, { signal }).catch((error: unknown) => {
    if (isOptional && hasCode(error, "ENOENT")) return undefined;
    throw readError(error, { file, cwd, isDefault: files.length === 0 });
  });
  return text === undefined ? [] : parseDocuments(text, { file, path, environment, report });
}

async function readText(path: string, { signal }: { signal: AbortSignal }): Promise<string> {
  return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path, { signal }));
}

function readError(error: unknown, options: { file: string; cwd: string; isDefault: boolean }): unknown {
  const { file, cwd, isDefault } = options;
  const invalid = (problem: string, hint?: string) =>
    new NexcageError("INVALID_FILE", `${file} ${problem}`, { hint, cause: error });
  if (hasCode(error, "ENOENT", "ENOTDIR"))
    return invalid(`does not exist in ${cwd}`, isDefault ? "name your files: -f FILE" : undefined);
  if (hasCode(error, "EISDIR")) return invalid("is a folder", "name the files in it: -f FILE");
  if (hasCode(error, "EACCES")) return invalid("cannot be read: permission denied");
  if (hasCode(error, "ERR_ENCODING_INVALID_ENCODED_DATA")) return invalid("is not UTF-8 text");
  return error;
}
