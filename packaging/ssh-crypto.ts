/*
 * ssh2's own ciphers in C++, as the bundle sees them: beside the bundle, where `npm run build` could make them.
 * Without them ssh2 has its ciphers in JavaScript, which make a key object and four writes of each packet.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const native: { exports: Record<string, unknown> } = { exports: {} }; // dlopen fills it
process.dlopen(native, join(dirname(fileURLToPath(import.meta.url)), "sshcrypto.node"));

export const {
  AESGCMCipher,
  AESGCMDecipher,
  ChaChaPolyCipher,
  ChaChaPolyDecipher,
  GenericCipher,
  GenericDecipher,
} = native.exports;
