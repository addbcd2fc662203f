/*
 * Runs a bundle as its program would, for the functions that it compiles on its way: warm.cjs BUNDLE CACHE ARGUMENT…
 * What an earlier run has compiled stays in the cache.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { loadBundle } from "./bundle.ts";

const [, , file = "", cache = "", ...words] = process.argv;
process.argv = [process.argv[0] ?? "", file, ...words];
const bundle = loadBundle(file, existsSync(cache) ? readFileSync(cache) : undefined);
process.on("exit", () => writeFileSync(cache, bundle.code()));
bundle.run(require);
