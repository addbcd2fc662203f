/*
 * Builds `dist/`: `nexcage` and `nexcage-agent`, which run from any directory, and beside them in
 * `lib/` what they run on: Node, one bundle a program, and the native library with its programs.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, linkSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const lib = join(dist, "lib");
rmSync(dist, { recursive: true, force: true });
mkdirSync(lib, { recursive: true });

for (const [name, entry] of [
  ["nexcage", "controller/main.ts"],
  ["nexcage-agent", "agent/main.ts"],
] as const)
  await build({
    entryPoints: [join(root, entry)],
    outfile: join(lib, `${name}.cjs`),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    minify: true,
    keepNames: true,
    legalComments: "none",
    banner: { js: 'const __import_meta_url = require("node:url").pathToFileURL(__filename).href;' },
    define: {
      "import.meta.url": "__import_meta_url",
      "import.meta.dirname": "__dirname",
      "import.meta.filename": "__filename",
    },
    external: ["cpu-features", "*.node"],
    alias: { koffi: join(root, "packaging/koffi-native.ts") },
    logLevel: "warning",
  });

share(process.execPath, join(lib, "node"));
chmodSync(join(lib, "node"), 0o755);
const native = buildNative();
if (native !== undefined) for (const name of readdirSync(native)) share(join(native, name), join(lib, name));
share(
  join(root, `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`),
  join(lib, "koffi.node"),
);
for (const name of ["nexcage", "nexcage-agent"]) writeStart(name, native !== undefined);
console.log(`built ${dist}`);

/** A hard link where the file system allows one: Node alone is 130 MB. */
function share(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

/** The folder with the native library; undefined, with a word about it, where it cannot be built. */
function buildNative(): string | undefined {
  try {
    return execFileSync(join(root, "native/build"), {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
  } catch {
    console.error("build: the native library could not be built: the crun backend will not be available");
    return undefined;
  }
}

/** Starts a bundle on the Node beside it; the agent by the launcher that seals it first, where there is one. */
function writeStart(name: string, sealed: boolean): void {
  const launcher = name === "nexcage-agent" && sealed ? '"$lib/nexcage-launch" ' : "";
  writeFileSync(
    join(dist, name),
    `#!/bin/sh
lib=$(dirname "$(readlink -f "$0")")/lib
unset NODE_OPTIONS
exec ${launcher}"$lib/node" "$lib/${name}.cjs" "$@"
`,
    { mode: 0o755 },
  );
}
