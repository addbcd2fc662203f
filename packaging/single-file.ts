/*
 * Makes nexcage one file that needs nothing beside it, of a tree that `npm run build` has left:
 * single-file.ts [--dist DIR] [--out FILE]
 *
 * It is the tree's Node with a "single executable application" of Node's in it: bundle, compiled code, install.sh, the
 * agents for hosts, and ssh2's ciphers, which are read from there and not unpacked.
 */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { execa } from "execa";
import { nodeFile } from "./agent-build.ts";
import { controllerFiles } from "./controller-files.ts";
import { fail } from "./debian/fail.ts";

const root = join(import.meta.dirname, "..");
const lib = "lib/nexcage/";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { dist: { type: "string", default: join(root, "dist") }, out: { type: "string" } },
  });
  const tree = resolve(values.dist);
  const out = resolve(values.out ?? join(tree, `nexcage-linux-${process.arch}`));
  const work = mkdtempSync(join(tmpdir(), "nexcage-single-file-"));
  try {
    const blob = await makeBlob(tree, work);
    const made = join(work, "nexcage");
    copyFileSync(join(tree, nodeFile), made);
    // Node looks for a note of this name, where this fuse is blown.
    const fuse = ["--sentinel-fuse", "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2"];
    const postject = join(root, "node_modules/postject/dist/cli.js");
    await execa(process.execPath, [postject, made, "NODE_SEA_BLOB", blob, ...fuse], { stdout: "ignore" });
    mkdirSync(dirname(out), { recursive: true });
    rmSync(out, { force: true }); // it may be running
    copyFileSync(made, out);
    chmodSync(out, 0o755);
  } finally {
    rmSync(work, { recursive: true });
  }
}

async function makeBlob(tree: string, work: string): Promise<string> {
  const [start, output, config] = ["start.cjs", "blob", "sea.json"]; // named from there: the path of `main` is in the blob
  await build({
    entryPoints: [join(root, "packaging/start-single.ts")],
    outfile: join(work, start),
    bundle: true,
    platform: "node",
    target: "node24",
    format: "cjs",
    minify: true,
  });
  const inside = controllerFiles(tree)
    .filter((path) => path.startsWith(lib) && !path.endsWith(".cjs"))
    .map((path) => [path.slice(lib.length), join(tree, path)]);
  writeFileSync(
    join(work, config),
    JSON.stringify({
      main: start,
      output,
      disableExperimentalSEAWarning: true,
      // As the program's start script has them; NODE_OPTIONS is not for it.
      execArgv: ["--min-semi-space-size=16", "--v8-pool-size=1"],
      execArgvExtension: "none",
      assets: Object.fromEntries(inside),
    }),
  );
  await execa(process.execPath, ["--experimental-sea-config", config], { cwd: work, stdout: "ignore" });
  return join(work, output);
}

await main().catch((error: unknown) => fail("single-file", error));
