import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as z from "zod";
import { hasCode, NexcageError } from "../../shared/errors.ts";

/** As much as a config.json may have; podman's has some 50 KiB. */
const maxBytes = 4 * 1024 * 1024;

const atLeastOne = {
  error: ({ code }: { code?: string }) => (code === "too_small" ? "expected at least one item" : undefined),
};

/** What both backends read of a bundle's configuration; all else passes through. */
const BundleConfig = z.looseObject({
  ociVersion: z.string(),
  root: z.looseObject({ path: z.string().min(1) }),
  process: z.looseObject({
    args: z.array(z.string()).min(1, atLeastOne),
    cwd: z.string().regex(/^\//, "expected an absolute path"),
  }),
  annotations: z.record(z.string(), z.string()).optional(),
  linux: z.looseObject({ cgroupsPath: z.string().optional() }).optional(),
});
export type BundleConfig = z.infer<typeof BundleConfig>;

/**
 * An OCI bundle on this host: its config.json, and where its root file system is.
 * @throws {NexcageError} `BUNDLE_INVALID` with file and line, or file and field
 */
export async function readBundle(
  bundle: string,
): Promise<{ file: string; config: BundleConfig; root: string }> {
  const file = join(bundle, "config.json");
  const config = parseConfig(await readConfig(file), file);
  const root = resolve(bundle, config.root.path);
  await requireFolder(root, file);
  return { file, config, root };
}

/** The configuration in a text; `file` is for messages. Pure. */
export function parseConfig(text: string, file: string): BundleConfig {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw malformed(text, file, error);
  }
  const parsed = BundleConfig.safeParse(json);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) =>
    [path.join("."), message.replace(/^Invalid input: /, "")].filter((part) => part !== "").join(": "),
  );
  throw new NexcageError("BUNDLE_INVALID", `${file}: ${problems.join("; ")}`, {
    hint: "the OCI runtime specification, config.md, says what belongs there",
    details: { file, problems },
  });
}

async function readConfig(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > maxBytes)
      throw new NexcageError("BUNDLE_INVALID", `${file} has ${size} bytes, more than ${maxBytes}`);
    return await readFile(file, "utf8");
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR", "EISDIR", "ELOOP")) throw error;
    throw new NexcageError("BUNDLE_INVALID", `${file} does not exist`, {
      hint: "a bundle is a folder with config.json and the container's files",
      details: { file },
      cause: error,
    });
  }
}

async function requireFolder(root: string, file: string): Promise<void> {
  try {
    if ((await stat(root)).isDirectory()) return;
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) throw error;
  }
  throw new NexcageError("BUNDLE_INVALID", `${file}: root.path: ${root} is not a folder`, {
    details: { file, root },
  });
}

function malformed(text: string, file: string, error: unknown): NexcageError {
  const message = error instanceof Error ? error.message : String(error);
  const before = text.slice(0, errorOffset(text, message)).split("\n");
  const line = before.length;
  const column = (before.at(-1) ?? "").length + 1;
  const reason = message.replace(
    / in JSON.*| at position.*|, (?:\.\.\.)?"[\s\S]*" is not valid JSON| of JSON input/,
    "",
  );
  return new NexcageError(
    "BUNDLE_INVALID",
    `${file}:${line}:${column}: not JSON: ${reason.charAt(0).toLowerCase()}${reason.slice(1)}`,
    { details: { file, line, column }, cause: error },
  );
}

/** V8 says the position of most errors, but not of an unexpected token: that is where the shortest bad prefix ends. */
function errorOffset(text: string, message: string): number {
  const [, said] = /at position (\d+)/.exec(message) ?? [];
  if (said !== undefined) return Number(said);
  if (!/^Unexpected token/.test(message)) return text.length;
  let [good, bad] = [0, text.length];
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (hasUnexpectedToken(text.slice(0, middle))) bad = middle;
    else good = middle;
  }
  return good;
}

function hasUnexpectedToken(text: string): boolean {
  try {
    JSON.parse(text);
    return false;
  } catch (error) {
    return error instanceof Error && error.message.startsWith("Unexpected token");
  }
}
