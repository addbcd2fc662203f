import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { NexcageError } from "../../shared/errors.ts";
import { readString, writeString } from "../ssh/wire.ts";

/*
 * Signatures of files as `ssh-keygen -Y sign` makes them: PROTOCOL.sshsig of OpenSSH. Without ssh-keygen, because not
 * every machine has one that knows them (8.0, 2019).
 */

export type SshSignature = {
  /** Who signed, as in an authorized_keys file: the key as it goes over the wire. */
  key: Buffer;
  namespace: string;
  hash: "sha256" | "sha512";
  algorithm: string;
  signature: Buffer;
};

const magic = "SSHSIG";
const armour = /^-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END SSH SIGNATURE-----\r?\n?$/;

/** @throws {NexcageError} `SIGNATURE_INVALID` for what is none */
export function parseSignature(text: string): SshSignature {
  const [, base64] = armour.exec(text) ?? [];
  if (base64 === undefined) throw invalid("it is not what ssh-keygen -Y sign writes");
  const blob = Buffer.from(base64, "base64");
  if (blob.subarray(0, magic.length).toString("latin1") !== magic) throw invalid("it does not begin as one");
  const read = reader(blob.subarray(magic.length + 4));
  const version = blob.length < magic.length + 4 ? 0 : blob.readUInt32BE(magic.length);
  if (version !== 1) throw invalid(`it is of version ${version}, and 1 is known`);
  const key = read();
  const namespace = read().toString("utf8");
  read(); // reserved
  const hash = read().toString("latin1");
  if (hash !== "sha256" && hash !== "sha512") throw invalid(`it is of a ${JSON.stringify(hash)} digest`);
  const inner = reader(read());
  return { key, namespace, hash, algorithm: inner().toString("latin1"), signature: inner() };
}

/**
 * Whether the key in the signature has signed this message. Whether that key may sign is not asked here.
 * @throws {NexcageError} `KEY_UNSUPPORTED`, `SIGNATURE_INVALID` for a key that is none
 */
export function isSignatureOf(message: Uint8Array, signed: SshSignature): boolean {
  const data = Buffer.concat([
    Buffer.from(magic),
    writeString(Buffer.from(signed.namespace)),
    writeString(Buffer.alloc(0)),
    writeString(Buffer.from(signed.hash)),
    writeString(createHash(signed.hash).update(message).digest()),
  ]);
  const read = reader(signed.key);
  const type = read().toString("latin1");
  switch (type) {
    case "ssh-ed25519": {
      if (signed.algorithm !== type) return false;
      return verify(null, data, jwk({ kty: "OKP", crv: "Ed25519", x: base64url(read()) }), signed.signature);
    }
    case "ssh-rsa": {
      const digest = rsaDigests.get(signed.algorithm); // not SHA-1, as PROTOCOL.sshsig demands
      const e = read();
      const n = unsigned(read());
      if (digest === undefined || n.length < leastRsaBytes) return false;
      return verify(
        digest,
        data,
        jwk({ kty: "RSA", e: base64url(unsigned(e)), n: base64url(n) }),
        signed.signature,
      );
    }
    case "ecdsa-sha2-nistp256":
    case "ecdsa-sha2-nistp384":
    case "ecdsa-sha2-nistp521": {
      if (signed.algorithm !== type) return false;
      const { crv, digest, bytes } = curves[type];
      read(); // the curve's name once more
      const point = read(); // 4, x, y
      if (point.length !== 1 + 2 * bytes || point[0] !== 4) throw invalid("its key is no point of its curve");
      const x = base64url(point.subarray(1, 1 + bytes));
      const y = base64url(point.subarray(1 + bytes));
      const parts = reader(signed.signature);
      const halves = [parts(), parts()].map((half) => padded(unsigned(half), bytes));
      const key = { key: jwk({ kty: "EC", crv, x, y }), dsaEncoding: "ieee-p1363" } as const;
      return verify(digest, data, key, Buffer.concat(halves));
    }
    default:
      throw new NexcageError("KEY_UNSUPPORTED", `a key of type ${JSON.stringify(type)} has signed it`, {
        hint: "ssh-keygen -Y verify can check it: see docs/verify.md",
      });
  }
}

const rsaDigests = new Map([
  ["rsa-sha2-256", "sha256"],
  ["rsa-sha2-512", "sha512"],
]);
const leastRsaBytes = 256; // 2048 bits

const curves = {
  "ecdsa-sha2-nistp256": { crv: "P-256", digest: "sha256", bytes: 32 },
  "ecdsa-sha2-nistp384": { crv: "P-384", digest: "sha384", bytes: 48 },
  "ecdsa-sha2-nistp521": { crv: "P-521", digest: "sha512", bytes: 66 },
} as const;

function jwk(key: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key, format: "jwk" });
  } catch (cause) {
    throw invalid("its key is none", cause);
  }
}

function base64url(bytes: Buffer): string {
  return bytes.toString("base64url");
}

/** A number as SSH writes it has a zero before a first byte that would make it negative. */
function unsigned(number: Buffer): Buffer {
  const start = number.findIndex((byte) => byte !== 0);
  return start === -1 ? Buffer.alloc(0) : number.subarray(start);
}

function padded(number: Buffer, bytes: number): Buffer {
  if (number.length > bytes) throw invalid("a number in it is too large");
  return Buffer.concat([Buffer.alloc(bytes - number.length), number]);
}

/** Reads string after string. */
function reader(buffer: Buffer): () => Buffer {
  let offset = 0;
  return () => {
    try {
      const { value, end } = readString(buffer, offset);
      offset = end;
      return value;
    } catch (cause) {
      throw invalid("it is cut off", cause);
    }
  };
}

function invalid(why: string, cause?: unknown): NexcageError {
  return new NexcageError("SIGNATURE_INVALID", `the signature cannot be read: ${why}`, { cause });
}
