/*
 * ssh2's own ciphers in C++, as the bundle sees them: beside it, or inside where nexcage is one file, if `npm run build` could make them.
 * Without them ssh2 has its ciphers in JavaScript, which make a key object and four writes of each packet.
 */
import { dirname, join } from "node:path";
import { getRawAsset, isSea } from "node:sea";
import { fileURLToPath } from "node:url";
import { unnamedFile } from "../controller/bootstrap/unnamed-file.ts";

const name = "sshcrypto.node";
const path = isSea()
  ? unnamedFile(Buffer.from(getRawAsset(name)))
  : join(dirname(fileURLToPath(import.meta.url)), name);
const native: { exports: Record<string, unknown> } = { exports: {} }; // dlopen fills it
process.dlopen(native, path);

export const {
  AESGCMCipher,
  AESGCMDecipher,
  ChaChaPolyCipher,
  ChaChaPolyDecipher,
  GenericCipher,
  GenericDecipher,
} = native.exports;
