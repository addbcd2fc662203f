import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as z from "zod";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { sha256OfFile } from "../../shared/file-digest.ts";
import { fingerprint } from "../ssh/known-hosts.ts";
import { parseAllowedSigners, whyNotAllowed } from "./allowed-signers.ts";
import { isSignatureOf, parseSignature } from "./ssh-signature.ts";

export type Check = {
  check: "checksum" | "signature" | "sbom" | "provenance";
  /** `skipped`: could not be checked, and so proves nothing. */
  result: "passed" | "failed" | "skipped";
  /** What was found, or what is wrong. */
  detail: string;
};

/** What was found out about one file. */
export type Verified = { file: string; checks: Check[] };

export type VerifyOptions = {
  /** `SHA256SUMS`; else that beside each file. */
  sums: string | undefined;
  /** A file of allowed signers. */
  signers: { path: string; mayBeMissing: boolean };
  isChecksumOnly: boolean;
  now: Date;
  signal: AbortSignal;
};

/** As packaging/release.ts signs; docs/verify.md has it for users. */
const principal = "nexcage";
const namespace = "nexcage-release";
const provenanceName = "provenance.intoto.jsonl";
const readBytes = 32 * 1024 * 1024;

/**
 * Checks files of a release against what lies beside them. Asks nobody else.
 * @throws {NexcageError} `INVALID_FILE` where a file, `SHA256SUMS` or a named signers file cannot be read
 */
export async function verifyFiles(files: string[], options: VerifyOptions): Promise<Verified[]> {
  const verified: Verified[] = [];
  for (const file of files) verified.push(await verifyFile(file, options)); // one disk
  return verified;
}

async function verifyFile(file: string, options: VerifyOptions): Promise<Verified> {
  const { sha256 } = await sha256OfFile(file, options).catch((cause: unknown) => {
    throw hasCode(cause, "ENOENT", "EISDIR", "EACCES") ? unreadable(file, cause) : cause;
  });
  const path = options.sums ?? join(dirname(file), "SHA256SUMS");
  const bytes = await readBeside(path);
  if (bytes === undefined)
    throw new NexcageError("INVALID_FILE", `there is no ${path} to check ${file} against`, {
      hint: "download SHA256SUMS of the same release, or name it: --sums FILE",
    });
  const sums: Sums = { path, folder: dirname(path), bytes, digests: parseSums(bytes, path) };
  const subject = { name: basename(file), sha256 };
  const checks = [checkSum(subject, sums)];
  if (!options.isChecksumOnly) {
    checks.push(await checkSignature(sums, options), await checkSboms(sums));
    if (subject.name !== provenanceName) checks.push(await checkProvenance(subject, sums));
  }
  return { file, checks };
}

type Subject = { name: string; sha256: string };
type Sums = { path: string; folder: string; bytes: Buffer; digests: Map<string, string> };

/** As sha256sum writes them. */
function parseSums(bytes: Buffer, path: string): Map<string, string> {
  const lines = bytes.toString("utf8").split("\n");
  return new Map(
    lines.flatMap((line, index) => {
      if (line === "") return [];
      const [, digest, name] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
      if (digest === undefined || name === undefined)
        throw new NexcageError("INVALID_FILE", `${path}:${index + 1}: this is not a line of sha256sum`);
      return [[name, digest] as const];
    }),
  );
}

function checkSum({ name, sha256 }: Subject, { digests }: Sums): Check {
  const check = "checksum";
  const wanted = digests.get(name);
  if (wanted === undefined) return { check, result: "failed", detail: `SHA256SUMS does not list ${name}` };
  if (wanted === sha256) return { check, result: "passed", detail: `sha256 ${sha256}` };
  return { check, result: "failed", detail: `sha256 is ${sha256}, and SHA256SUMS says ${wanted}` };
}

async function checkSignature(sums: Sums, { signers, now }: VerifyOptions): Promise<Check> {
  const check = "signature";
  const failed = (detail: string): Check => ({ check, result: "failed", detail });
  const text = await readBeside(`${sums.path}.sig`);
  if (text === undefined) return failed(`there is no ${sums.path}.sig`);
  const allowed = await readBeside(signers.path);
  if (allowed === undefined) {
    if (!signers.mayBeMissing) throw unreadable(signers.path);
    return { check, result: "skipped", detail: `not checked: no ${signers.path} says whose it must be` };
  }
  const lines = parseAllowedSigners(allowed.toString("utf8"), signers.path);
  try {
    const signed = parseSignature(text.toString("latin1"));
    const who = `key ${fingerprint(signed.key)}`;
    if (signed.namespace !== namespace)
      return failed(`it was made for ${JSON.stringify(signed.namespace)}, and not for ${namespace}`);
    const why = whyNotAllowed(lines, { key: signed.key, principal, namespace, now });
    if (why !== undefined) return failed(`${who} may not sign: ${why} in ${signers.path}`);
    if (!isSignatureOf(sums.bytes, signed)) return failed(`${who} has not signed this SHA256SUMS`);
    return { check, result: "passed", detail: `SHA256SUMS by ${who}` };
  } catch (error) {
    if (error instanceof NexcageError) return failed(error.message);
    throw error;
  }
}

/** Both formats; what matters of them here is that they name parts. */
const Sbom = z.union([
  z.object({ bomFormat: z.literal("CycloneDX"), components: z.array(z.unknown()) }),
  z.object({ spdxVersion: z.string(), packages: z.array(z.unknown()) }),
]);

async function checkSboms(sums: Sums): Promise<Check> {
  const check = "sbom";
  const failed = (detail: string): Check => ({ check, result: "failed", detail });
  const names = [...sums.digests.keys()].filter((name) => /\.(cdx|spdx)\.json$/.test(name));
  if (names.length === 0) return failed("SHA256SUMS lists none");
  const found: string[] = [];
  for (const name of names) {
    const read = await readListed(name, sums);
    if (typeof read === "string") return failed(read);
    const parsed = Sbom.safeParse(parseJson(read.text));
    if (!parsed.success) return failed(`${name} is neither CycloneDX nor SPDX`);
    const parts = "components" in parsed.data ? parsed.data.components : parsed.data.packages;
    if (parts.length === 0) return failed(`${name} names nothing`);
    found.push(`${name} names ${parts.length}`);
  }
  return { check, result: "passed", detail: found.join(", ") };
}

/** What is looked at of an in-toto statement with SLSA's provenance. */
const Statement = z.object({
  _type: z.literal("https://in-toto.io/Statement/v1"),
  predicateType: z.literal("https://slsa.dev/provenance/v1"),
  subject: z.array(z.object({ name: z.string(), digest: z.object({ sha256: z.string() }) })),
  predicate: z.object({
    buildDefinition: z.object({
      resolvedDependencies: z.array(z.object({ digest: z.record(z.string(), z.string()).optional() })),
    }),
    runDetails: z.object({ builder: z.object({ id: z.string() }) }),
  }),
});

async function checkProvenance({ name, sha256 }: Subject, sums: Sums): Promise<Check> {
  const check = "provenance";
  const failed = (detail: string): Check => ({ check, result: "failed", detail });
  const read = await readListed(provenanceName, sums);
  if (typeof read === "string") return failed(read);
  const parsed = z.array(Statement).safeParse(read.text.trim().split("\n").map(parseJson));
  if (!parsed.success) return failed(`${provenanceName} is no provenance of SLSA's`);
  const statement = parsed.data.find(({ subject }) => subject.some((one) => one.name === name));
  if (statement === undefined) return failed(`${provenanceName} does not name ${name}`);
  if (!statement.subject.some((one) => one.name === name && one.digest.sha256 === sha256))
    return failed(`${provenanceName} names another ${name}`);
  const { buildDefinition, runDetails } = statement.predicate;
  const commit = buildDefinition.resolvedDependencies.find(({ digest }) => digest?.gitCommit)?.digest
    ?.gitCommit;
  return { check, result: "passed", detail: `by ${runDetails.builder.id} of commit ${commit ?? "unknown"}` };
}

/** A file that `SHA256SUMS` lists; else what is wrong with it. */
async function readListed(name: string, { folder, digests }: Sums): Promise<{ text: string } | string> {
  const wanted = digests.get(name);
  if (wanted === undefined) return `SHA256SUMS does not list ${name}`;
  const bytes = await readBeside(join(folder, basename(name)));
  if (bytes === undefined) return `there is no ${join(folder, basename(name))}`;
  const actual = createHash("sha256").update(bytes).digest("hex");
  return actual === wanted
    ? { text: bytes.toString("utf8") }
    : `${name} is not the one that SHA256SUMS lists`;
}

/** A file of moderate size; undefined where there is none. */
async function readBeside(path: string): Promise<Buffer | undefined> {
  try {
    if ((await stat(path)).size > readBytes) throw new NexcageError("INVALID_FILE", `${path} is too large`);
    return await readFile(path);
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return undefined;
    throw hasCode(cause, "EISDIR", "EACCES") ? unreadable(path, cause) : cause;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // fits no schema
  }
}

function unreadable(path: string, cause?: unknown): NexcageError {
  return new NexcageError("INVALID_FILE", `${path} cannot be read`, { cause });
}
