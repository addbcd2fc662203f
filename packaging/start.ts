/*
 * What Node starts in the product: `NAME.cjs` runs the bundle `NAME.js` beside it, from the code in `NAME.cache`
 * that V8 compiled when the product was built.
 */
import { readFileSync } from "node:fs";
import { loadBundle } from "./bundle.ts";

const file = __filename.replace(/\.cjs$/, ".js");
loadBundle(file, readCache(file.replace(/\.js$/, ".cache"))).run(require);

/** What cannot be read, or was made by another Node, costs time and nothing else. */
function readCache(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
