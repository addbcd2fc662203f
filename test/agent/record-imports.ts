/* For `node --import`: at its end a program's packages and native libraries are told on stderr, a line of JSON. */

import { writeSync } from "node:fs";
import { registerHooks } from "node:module";

const packages = new Set<string>();

registerHooks({
  load(url, context, nextLoad) {
    const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? [];
    if (name !== undefined) packages.add(name);
    return nextLoad(url, context);
  },
});

process.on("exit", () => writeSync(2, `${JSON.stringify([...packages].sort())}\n`));
