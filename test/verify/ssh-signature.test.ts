import { mkdtempSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { parseAllowedSigners, whyNotAllowed } from "../../controller/verify/allowed-signers.ts";
import { isSignatureOf, parseSignature } from "../../controller/verify/ssh-signature.ts";

const folder = mkdtempSync(join(tmpdir(), "nexcage-signature-"));
test.after.always(() => rm(folder, { recursive: true }));
const namespace = "nexcage-release";
const message = Buffer.from("what is signed\n");

/** A new key's public half, `TYPE BASE64`. */
async function makeKey(name: string, ...how: string[]): Promise<string> {
  const file = join(folder, name);
  await execa("ssh-keygen", ["-q", "-N", "", "-C", "", "-f", file, ...how]);
  return (await readFile(`${file}.pub`, "utf8")).trim();
}

async function sign(name: string, ...options: string[]): Promise<string> {
  const args = ["-q", "-Y", "sign", "-n", namespace, "-f", join(folder, name), ...options];
  const { stdout } = await execa("ssh-keygen", args, { input: message });
  return String(stdout);
}

const kinds: [title: string, how: string[]][] = [
  ["Ed25519", ["-t", "ed25519"]],
  ["RSA of 2048 bits", ["-t", "rsa", "-b", "2048"]],
  ["RSA of 3072 bits", ["-t", "rsa", "-b", "3072"]],
  ["ECDSA on P-256", ["-t", "ecdsa", "-b", "256"]],
  ["ECDSA on P-384", ["-t", "ecdsa", "-b", "384"]],
  ["ECDSA on P-521", ["-t", "ecdsa", "-b", "521"]],
];
for (const [index, [title, how]] of kinds.entries())
  test(`a signature of ssh-keygen's with ${title} is right for its file alone`, async (t) => {
    const key = await makeKey(`kind-${index}`, ...how);
    // Several, because a number of ECDSA's may begin with zeros.
    for (const hash of ["sha256", "sha512", "sha512", "sha512"]) {
      const signed = parseSignature(await sign(`kind-${index}`, "-O", `hashalg=${hash}`));
      t.is(signed.key.toString("base64"), key.split(" ")[1] ?? "");
      t.is(signed.namespace, namespace);
      t.true(isSignatureOf(message, signed));
      t.false(isSignatureOf(Buffer.from("what is signeD\n"), signed));
      t.false(isSignatureOf(message, { ...signed, namespace: "file" }));
      const changed = Buffer.from(signed.signature);
      changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
      t.false(isSignatureOf(message, { ...signed, signature: changed }));
    }
  });

test("a signature is not that of another key", async (t) => {
  await makeKey("one", "-t", "ed25519");
  const other = await makeKey("other", "-t", "ed25519");
  const key = Buffer.from(other.split(" ")[1] ?? "", "base64");
  t.false(isSignatureOf(message, { ...parseSignature(await sign("one")), key }));
});

test("RSA with SHA-1, and RSA that is too short, is none", async (t) => {
  await makeKey("rsa", "-t", "rsa", "-b", "2048");
  t.false(isSignatureOf(message, { ...parseSignature(await sign("rsa")), algorithm: "ssh-rsa" }));
  await makeKey("short", "-t", "rsa", "-b", "1024");
  t.false(isSignatureOf(message, parseSignature(await sign("short"))));
});

test("what is no signature, or cut off anywhere, is told as that", async (t) => {
  await makeKey("cut", "-t", "ed25519");
  const text = await sign("cut");
  const blob = Buffer.from(text.replaceAll(/-----.*-----/g, ""), "base64");
  const armoured = (bytes: Buffer) =>
    `-----BEGIN SSH SIGNATURE-----\n${bytes.toString("base64")}\n-----END SSH SIGNATURE-----\n`;
  t.notThrows(() => parseSignature(armoured(blob)));
  for (let length = 0; length < blob.length; length++)
    t.throws(() => parseSignature(armoured(blob.subarray(0, length))), { code: "SIGNATURE_INVALID" });
  t.throws(() => parseSignature("PGP"), { code: "SIGNATURE_INVALID" });
});

test("a key of a token is refused by name", async (t) => {
  await makeKey("token", "-t", "ed25519");
  const signed = parseSignature(await sign("token"));
  const type = Buffer.from("sk-ssh-ed25519@openssh.com");
  const key = Buffer.concat([Buffer.from([0, 0, 0, type.length]), type]);
  t.throws(() => isSignatureOf(message, { ...signed, key }), {
    code: "KEY_UNSUPPORTED",
    message: /sk-ssh-ed25519/,
  });
});

const lines: { title: string; line: (key: string) => string; isAllowed: boolean }[] = [
  { title: "a plain line", line: (key) => `nexcage ${key}`, isAllowed: true },
  { title: "with a comment", line: (key) => `# who\n\nnexcage ${key} of us`, isAllowed: true },
  { title: "of its namespace", line: (key) => `nexcage namespaces="a,nexcage-*" ${key}`, isAllowed: true },
  {
    title: "of another namespace",
    line: (key) => `nexcage namespaces="nexcage-agent" ${key}`,
    isAllowed: false,
  },
  {
    title: "of all but this namespace",
    line: (key) => `nexcage namespaces="*,!nexcage-release" ${key}`,
    isAllowed: false,
  },
  { title: "of several principals", line: (key) => `"other,nexcage" ${key}`, isAllowed: true },
  { title: "of a pattern", line: (key) => `nex* ${key}`, isAllowed: true },
  { title: "of another principal", line: (key) => `other ${key}`, isAllowed: false },
  { title: "not valid yet", line: (key) => `nexcage valid-after="20990101" ${key}`, isAllowed: false },
  {
    title: "valid since long",
    line: (key) => `nexcage valid-after="20200101000000Z" ${key}`,
    isAllowed: true,
  },
  {
    title: "not valid any more",
    line: (key) => `nexcage valid-before="202001010000" ${key}`,
    isAllowed: false,
  },
  {
    title: "of two options",
    line: (key) => `nexcage namespaces="nexcage-release",valid-before="20990101Z" ${key}`,
    isAllowed: true,
  },
  { title: "of an authority", line: (key) => `nexcage cert-authority ${key}`, isAllowed: false },
  {
    title: "a second one that allows",
    line: (key) => `nexcage namespaces="x" ${key}\nnexcage ${key}`,
    isAllowed: true,
  },
];
const signed = makeSigned();

async function makeSigned(): Promise<{ signer: string; signature: string }> {
  const signer = await makeKey("signer", "-t", "ed25519");
  const signature = await sign("signer");
  await writeFile(join(folder, "signature"), signature);
  return { signer, signature };
}

for (const [index, { title, line, isAllowed }] of lines.entries())
  test(`allowed_signers, ${title}: ${isAllowed ? "allowed" : "not allowed"}, as ssh-keygen has it`, async (t) => {
    const { signer, signature } = await signed;
    const text = `${line(signer)}\n`;
    const file = join(folder, `signers-${index}`);
    await writeFile(file, text);
    const { key } = parseSignature(signature);
    const options = { key, principal: "nexcage", namespace, now: new Date() };
    t.is(whyNotAllowed(parseAllowedSigners(text, file), options) === undefined, isAllowed);
    const args = [
      "-Y",
      "verify",
      "-f",
      file,
      "-I",
      "nexcage",
      "-n",
      namespace,
      "-s",
      join(folder, "signature"),
    ];
    const { failed } = await execa("ssh-keygen", args, { input: message, reject: false });
    t.is(!failed, isAllowed);
  });

test("a line of allowed_signers that makes no sense is told with its place", async (t) => {
  const { signer } = await signed;
  const mistakes: [line: string, message: RegExp][] = [
    ["nexcage", /^f:2: there is no key in it$/],
    ["nexcage ssh-ed25519 AAAA", /^f:2: there is no key/],
    [`nexcage verify-required ${signer}`, /^f:2: "verify-required" is not an option/],
    [`nexcage valid-after="soon" ${signer}`, /^f:2: "soon" is no time/],
  ];
  for (const [line, message] of mistakes)
    t.throws(() => parseAllowedSigners(`\n${line}\n`, "f"), { code: "INVALID_FILE", message });
});
