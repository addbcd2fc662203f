/*
 * Runs a bundle as its program would, for the functions that it compiles on its way: warm.cjs BUNDLE CACHE ARGUMENT…
 */
import { writeFileSync } from "node:fs";
import { loadBundle } from "./bundle.ts";

const [, , file = "", cache = "", ...words] = process.argv;
process.argv = [process.argv[0] ?? "", file, ...words];
const bundle = loadBundle(file);
process.on("exit", () => writeFileSync(cache, bundle.code()));
bundle.run(require);
