import ssh2 from "ssh2";
import { NexcageError } from "../../shared/errors.ts";
import { keyType } from "./known-hosts.ts";
import type { Secret } from "./secret.ts";
import { readString } from "./wire.ts";

/** What an identity file holds, as far as it can be told without its passphrase. */
export type KeyFile =
  | { kind: "plain"; key: PrivateKey }
  /** `publicKey` is not known for the older PEM format. */
  | { kind: "encrypted"; publicKey: Buffer | undefined }
  /** The private part is elsewhere: in an agent, where it is to be of use. */
  | { kind: "public"; publicKey: Buffer }
  | { kind: "unsupported"; what: string };

export type PrivateKey = { publicKey: Buffer; sign(data: Buffer, hash: string | undefined): Buffer };

/** Looks at the text of an identity file. */
export function inspectKey(text: string): KeyFile {
  const publicKey = publicKeyLine(text) ?? openSshPublicKey(text);
  const what = publicKey && unsupportedType(keyType(publicKey));
  if (what !== undefined) return { kind: "unsupported", what };
  if (publicKeyLine(text) !== undefined && publicKey !== undefined) return { kind: "public", publicKey };
  const parsed = ssh2.utils.parseKey(text);
  if (!(parsed instanceof Error)) return { kind: "plain", key: privateKey(parsed) };
  if (/no passphrase given/.test(parsed.message)) return { kind: "encrypted", publicKey };
  return { kind: "unsupported", what: "not a private key that can be read" };
}

/**
 * Unlocks an encrypted key; undefined where the passphrase is wrong. Slow on purpose (bcrypt: a third of a
 * second with ssh-keygen's defaults), and nothing else happens meanwhile: once per key, not per connection.
 * @throws {NexcageError} `KEY_UNSUPPORTED`
 */
export function unlockKey(text: string, passphrase: Secret): PrivateKey | undefined {
  const parsed = ssh2.utils.parseKey(text, passphrase.reveal());
  if (!(parsed instanceof Error)) return privateKey(parsed);
  if (/bad passphrase/i.test(parsed.message)) return undefined;
  throw new NexcageError("KEY_UNSUPPORTED", `the key cannot be read: ${parsed.message}`, { cause: parsed });
}

/** Why ssh2 1.17 cannot use keys of this type; undefined where it can. */
export function unsupportedType(type: string): string | undefined {
  if (type.includes("-cert-v01@")) return "a certificate";
  if (type.startsWith("sk-")) return "a FIDO key";
  return usableTypes.test(type) ? undefined : `a key of type ${type || "unknown"}`;
}

const usableTypes = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521))$/;

type ParsedKey = Exclude<ReturnType<typeof ssh2.utils.parseKey>, Error>;

function privateKey(parsed: ParsedKey): PrivateKey {
  return {
    publicKey: parsed.getPublicSSH(),
    sign(data, hash) {
      const signature: Buffer | Error = parsed.sign(data, hash); // ssh2 returns its errors
      if (signature instanceof Error) throw signature;
      return signature;
    },
  };
}

/** The key of a `.pub` file: `type base64 comment`. */
function publicKeyLine(text: string): Buffer | undefined {
  const [type, base64] = text.trim().split(/\s+/, 2);
  if (type === undefined || base64 === undefined || type.startsWith("-")) return undefined;
  const key = Buffer.from(base64, "base64");
  return keyType(key) === type ? key : undefined;
}

const openSshFrame = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]+)-----END OPENSSH PRIVATE KEY-----/;

/** The public half of an OpenSSH key file, which is readable without the passphrase (PROTOCOL.key). */
function openSshPublicKey(text: string): Buffer | undefined {
  const body = openSshFrame.exec(text)?.[1];
  if (body === undefined) return undefined;
  const data = Buffer.from(body, "base64");
  try {
    const cipher = readString(data, "openssh-key-v1\0".length);
    const kdf = readString(data, cipher.end);
    const options = readString(data, kdf.end);
    return readString(data, options.end + 4).value; // behind the number of keys, which is 1
  } catch {
    return undefined; // cut short: what reads the whole file says so
  }
}
