import { readFile } from "node:fs/promises";
import type { z } from "zod";
import { hasCode, NexcageError } from "../../shared/errors.ts";

/**
 * A JSON file of ours; undefined where there is none.
 * @throws {NexcageError} `STATE_CORRUPT` naming the file
 */
export async function readJsonFile<S extends z.ZodType>(
  path: string,
  schema: S,
): Promise<z.infer<S> | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw corrupt(path, "is not JSON", cause);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw corrupt(path, `${issue?.path.join(".") || "it"}: ${issue?.message}`, parsed.error);
}

function corrupt(path: string, what: string, cause: unknown): NexcageError {
  return new NexcageError("STATE_CORRUPT", `${path}: ${what}`, {
    hint: "move the file away; what it described can then be deleted with --force, or made again",
    cause,
  });
}
