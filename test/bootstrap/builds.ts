import { appendFile, cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { dist } from "../dist.ts";

/** How another build differs from that in `dist/`: Node is the same one. */
export type Difference =
  /** It works; only its digest is another. */
  | { kind: "newer" }
  /** It ends as soon as it is started. */
  | { kind: "broken" }
  /** Its library cannot be loaded, as on a host whose C library is another. */
  | { kind: "without libcrun" }
  /** Its doctor finds these. */
  | { kind: "sick"; failures: string[] };

/** Makes another build of the agent in a folder, as `npm run build` would of other sources. */
export async function makeBuild(folder: string, difference: Difference): Promise<string> {
  const tree = join(folder, "tree");
  await mkdir(tree, { recursive: true });
  // Links, since Node is large; what is changed below is replaced first.
  await execa("cp", ["-al", join(dist, "nexcage-agent"), join(dist, "lib"), tree]);
  const bundle = join(tree, "lib/nexcage/nexcage-agent.js");
  const library = join(tree, "lib/nexcage/libncx.so");
  const launcher = join(tree, "nexcage-agent");
  if (difference.kind === "newer") {
    await unlink(bundle);
    await appendFile(bundle, "\n// another build\n");
  } else if (difference.kind === "without libcrun") {
    await unlink(library);
    await writeFile(library, "no library");
  } else if (difference.kind === "broken") {
    await unlink(bundle);
    await writeFile(bundle, "(function () { throw new Error('broken build'); })");
  } else {
    await rm(launcher);
    await writeFile(launcher, sick(difference.failures), { mode: 0o755 });
  }
  await rm(join(tree, "lib/nexcage/BUILD"));
  const target = join(folder, "build");
  await execa("node", [join(import.meta.dirname, "pack.ts"), tree, target]);
  return target;
}

/** A copy in place of a hard link. */
async function unlink(path: string): Promise<void> {
  await cp(path, `${path}~`);
  await rename(`${path}~`, path);
}

function sick(failures: string[]): string {
  const checks = failures.map((name) => ({ name, result: "failed", message: `${name} is missing` }));
  return `#!/bin/sh
[ "$1" != version ] || exec echo nexcage-agent sick
echo '${JSON.stringify(checks)}'
exit 1
`;
}
