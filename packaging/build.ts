/*
 * Builds `dist/`, or the folder of `--out`: `nexcage` and `nexcage-agent`, which run from any directory, and beside them in
 * `lib/nexcage/` what they run on: Node, one bundle a program with its compiled code, and the native library
 * with its programs; in `lib/nexcage/agents/` the agent as it is sent to hosts; in `share/` manual pages and completion.
 * `bundled.json` names the npm packages that each bundle has something of. `--compiled DIR` takes the compiled code from
 * an earlier build of the same sources.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type BuildOptions, build, type Metafile, type PluginBuild } from "esbuild";
import { version } from "../shared/version.ts";
import { packAgent, share } from "./agent-build.ts";
import { writeManuals } from "./manuals.ts";
import { stripNode } from "./strip-node.ts";
import { warmUp } from "./warm-up.ts";

const root = join(import.meta.dirname, "..");
const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "dist") },
    compiled: { type: "string" },
    release: { type: "boolean", default: false }, // compressed as well as can be, which takes a minute
  },
});
const dist = resolve(options.out);
const lib = join(dist, "lib/nexcage");
rmSync(dist, { recursive: true, force: true });
mkdirSync(lib, { recursive: true });

const common: BuildOptions = {
  bundle: true,
  platform: "node",
  target: "node24",
  // Node has it; rewritten for older ones, an error of a loop's first turn is thrown again by the next.
  supported: { using: true },
  format: "cjs",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
};
const bundled: Record<string, string[]> = {};
for (const [name, entry] of [
  ["nexcage", "controller/main.ts"],
  ["nexcage-agent", "agent/main.ts"],
] as const) {
  const { metafile } = await build({
    ...common,
    absWorkingDir: root,
    metafile: true,
    entryPoints: [join(root, entry)],
    outfile: join(lib, `${name}.js`),
    banner: {
      js: `(function (require, module, exports, __filename, __dirname) {
const __import_meta_url = require("node:url").pathToFileURL(__filename).href;`,
    },
    footer: { js: "})" },
    define: {
      "import.meta.url": "__import_meta_url",
      "import.meta.dirname": "__dirname",
      "import.meta.filename": "__filename",
    },
    external: ["cpu-features", "*.node"],
    alias: {
      koffi: join(root, "packaging/koffi-native.ts"),
      "string-width": join(root, "packaging/string-width.ts"),
    },
    plugins: [
      { name: "leave-out-unused", setup: leaveOutUnused },
      { name: "ssh-crypto", setup: resolveSshCrypto },
    ],
  });
  bundled[name] = packagesIn(metafile);
  await build({
    ...common,
    entryPoints: [join(root, "packaging/start.ts")],
    outfile: join(lib, `${name}.cjs`),
  });
}

writeFileSync(join(dist, "bundled.json"), `${JSON.stringify(bundled, undefined, 2)}\n`);

share(stripNode(process.execPath), join(lib, "node"));
chmodSync(join(lib, "node"), 0o755);
const native = make("native/build", "neither the crun nor the runc backend will be available");
if (native !== undefined) for (const name of readdirSync(native)) share(join(native, name), join(lib, name));
share(
  join(root, `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`),
  join(lib, "koffi.node"),
);
const ciphers = make("packaging/build-ssh-crypto", "uploads will be slower");
if (ciphers !== undefined) share(ciphers, join(lib, "sshcrypto.node"));
writeStart("nexcage");
// The agent's is the launcher that seals it first, where there is one.
if (native === undefined) writeStart("nexcage-agent");
else share(join(native, "nexcage-agent"), join(dist, "nexcage-agent"));
if (options.compiled === undefined) await warmUp(lib, { isSealed: native !== undefined });
else
  for (const name of Object.keys(bundled))
    copyFileSync(join(options.compiled, `${name}.cache`), join(lib, `${name}.cache`));
copyFileSync(join(root, "controller/bootstrap/install.sh"), join(lib, "install.sh"));
// An agent for other hosts has the library: one without is for this machine alone.
if (native !== undefined)
  packAgent(dist, join(lib, `agents/linux-${process.arch}`), { version, level: options.release ? 19 : 9 });
writeManuals(join(dist, "share"));
console.log(`built ${dist}`);

/** The folders of npm packages of which something is in a bundle, and not only read for it. */
function packagesIn({ outputs }: Metafile): string[] {
  const folders = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) =>
      bytesInOutput === 0 ? [] : (/^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []),
    ),
  );
  return [...new Set(folders)].sort();
}

/** What ssh2 loads with itself and nexcage never calls: a server, key making, and agents that load https. */
function leaveOutUnused({ onLoad }: PluginBuild): void {
  onLoad({ filter: /ssh2\/lib\/(http-agents|keygen|server)\.js$/ }, () => ({ contents: "" }));
}

function resolveSshCrypto({ onResolve }: PluginBuild): void {
  onResolve({ filter: /\/sshcrypto\.node$/ }, () => ({ path: join(root, "packaging/ssh-crypto.ts") }));
}

/** What a script has compiled, by its path; undefined, with a word of what that means, where it cannot. */
function make(script: string, without: string): string | undefined {
  try {
    return execFileSync(join(root, script), {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
  } catch {
    console.error(`build: ${script} failed: ${without}`);
    return undefined;
  }
}

/** Starts a bundle on the Node in lib/nexcage beside it, or, as in /usr/bin, beside its folder. No program is run to find that: each takes as long as the shell itself. */
function writeStart(name: string): void {
  writeFileSync(
    join(dist, name),
    `#!/bin/sh
self=$0
[ ! -h "$self" ] || self=$(readlink -f "$self")
lib=\${self%/*}/lib/nexcage
[ -d "$lib" ] || lib=\${self%/*}/../lib/nexcage
unset NODE_OPTIONS
exec "$lib/node" --min-semi-space-size=16 --v8-pool-size=1 "$lib/${name}.cjs" "$@"
`,
    { mode: 0o755 },
  );
}
