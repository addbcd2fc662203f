/*
 * What Node starts where nexcage is one file: the bundle that is inside, from the code that V8 compiled when the product
 * was built.
 */
import { getRawAsset } from "node:sea";
import { compileBundle } from "./bundle.ts";

const inside = (name: string): Buffer => Buffer.from(getRawAsset(name));

compileBundle(inside("nexcage.js"), { file: process.execPath, code: inside("nexcage.cache") }).run(require);
