import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

/** A key to sign with, in a file of OpenSSH's. */
export type SigningKey = AsyncDisposable & { file: string };

/** The key in this file; without one, a key for this once. */
export async function openKey(file: string | undefined): Promise<SigningKey> {
  if (file !== undefined) return { file, async [Symbol.asyncDispose]() {} };
  const folder = await mkdtemp(join(tmpdir(), "nexcage-key-"));
  const made = join(folder, "key");
  await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "thrown away", "-f", made]);
  return { file: made, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

/** Writes `FILE.sig`; the namespace keeps a signature for one purpose from being shown for another. */
export async function sign(
  file: string,
  { key, namespace }: { key: SigningKey; namespace: string },
): Promise<void> {
  await rm(`${file}.sig`, { force: true });
  await execa("ssh-keygen", ["-q", "-Y", "sign", "-n", namespace, "-f", key.file, file]);
}

/** The line of an allowed_signers file that means this key. */
export async function allowedSigner(key: SigningKey): Promise<string> {
  const { stdout } = await execa("ssh-keygen", ["-y", "-f", key.file]);
  const [type, base64] = stdout.split(" ");
  return `nexcage namespaces="nexcage-release,nexcage-agent" ${type} ${base64}`;
}
