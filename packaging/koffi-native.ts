/*
 * koffi as the bundle sees it: its native part lies beside the bundle, and nowhere else, so that no
 * variable of the caller's chooses what root loads.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const native: { exports: typeof import("koffi") } = { exports: {} as typeof import("koffi") }; // dlopen fills it
process.dlopen(native, join(dirname(fileURLToPath(import.meta.url)), "koffi.node"));

export const { load, decode, alloc, free } = native.exports;
