import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";

/** What `nexcage` is made of beside Node, by its path in a built tree: with the agents that it sends. */
export function controllerFiles(tree: string): string[] {
  const lib = "lib/nexcage";
  const ciphers = `${lib}/sshcrypto.node`; // missing where it could not be compiled
  const agents = readdirSync(join(tree, lib, "agents"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(tree, join(parentPath, name)));
  return [
    "nexcage",
    ...["nexcage.cache", "nexcage.cjs", "nexcage.js", "install.sh"].map((name) => `${lib}/${name}`),
    ...(existsSync(join(tree, ciphers)) ? [ciphers] : []),
    ...agents.sort(),
  ];
}
