import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { matchesPatterns } from "./patterns.ts";

/*
 * The format of known_hosts: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Pure.
 */

/** A line of a known_hosts file; `line` counts from 1, `key` is the key as it goes over the wire. */
export type KnownHost = {
  file: string;
  line: number;
  marker: "none" | "revoked" | "cert-authority";
  /** The first field: names and patterns by comma, or one hashed name. */
  names: string;
  type: string;
  key: Buffer;
};

/** The lines of a file; what ssh would skip (comments, lines that make no sense) is left out. */
export function parseKnownHosts(text: string, file: string): KnownHost[] {
  return text.split("\n").flatMap((content, index) => {
    const fields = content.trim().split(/[ \t]+/);
    const marker = markers.get(fields[0] ?? "");
    if (marker !== undefined) fields.shift();
    const [names, type, base64] = fields;
    if (names === undefined || names.startsWith("#") || names.startsWith("@")) return [];
    if (type === undefined || base64 === undefined) return [];
    const key = Buffer.from(base64, "base64");
    if (keyType(key) !== type) return [];
    return [{ file, line: index + 1, marker: marker ?? "none", names, type, key }];
  });
}

const markers: ReadonlyMap<string, KnownHost["marker"]> = new Map([
  ["@revoked", "revoked"],
  ["@cert-authority", "cert-authority"],
]);

/** As known_hosts names a host: with its port where that is not 22, in lower case. */
export function knownHostName(address: string, port: number): string {
  return (port === 22 ? address : `[${address}]:${port}`).toLowerCase();
}

/** True where a line's first field means this name: hashed, or by patterns, of which `!` ones exclude. */
export function namesHost(names: string, name: string): boolean {
  return names.startsWith("|1|") ? hashedNameIs(names, name) : matchesPatterns(names.toLowerCase(), name);
}

function hashedNameIs(names: string, name: string): boolean {
  const [salt, hash] = names.slice("|1|".length).split("|");
  if (salt === undefined || hash === undefined) return false;
  const wanted = Buffer.from(hash, "base64");
  const actual = createHmac("sha1", Buffer.from(salt, "base64")).update(name).digest();
  return wanted.length === actual.length && timingSafeEqual(wanted, actual);
}

/** The type that a key says it is: its first string. Empty where it is no key. */
export function keyType(key: Buffer): string {
  if (key.length < 4) return "";
  const length = key.readUInt32BE(0);
  return length > 64 ? "" : key.subarray(4, 4 + length).toString("latin1");
}

/** A key's fingerprint as OpenSSH prints it: `SHA256:…`. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/** The line that makes a key known under a name, without its end. */
export function knownHostLine(name: string, key: Buffer): string {
  return `${name} ${keyType(key)} ${key.toString("base64")}`;
}
