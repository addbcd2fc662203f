import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { agentFiles, nodeFile, share } from "../agent-build.ts";
import { controllerFiles } from "../controller-files.ts";
import { copyrightOf } from "../debian/licences.ts";

const root = join(import.meta.dirname, "../..");

/** Whole texts that `THIRD-PARTY` refers to; Debian has them all. */
const commonLicences = "/usr/share/common-licenses";

/** What `nexcage-VERSION-linux-x64.tar.zst` has in it. */
export function controllerFolder(target: string, tree: string): void {
  place(target, { tree, files: [...controllerFiles(tree), nodeFile] });
  pages(target, { native: true, node: true });
  const more = join(tree, "share"); // man pages and completions, where they have been made
  if (existsSync(more)) cpSync(more, join(target, "share"), { recursive: true });
}

/** What `nexcage-agent-VERSION-linux-x64.tar.zst` has in it: as `fleet bootstrap` would put it on a host. */
export function agentFolder(target: string, { tree, build }: { tree: string; build: string }): void {
  place(target, { tree, files: [...agentFiles, nodeFile, "lib/nexcage/BUILD"] });
  for (const name of ["SHA256SUMS", "SHA256SUMS.sig"]) share(join(build, name), join(target, name));
  pages(target, { native: true, node: true });
}

/** What the npm package has in it: no Node, since it runs on its user's own. */
export function npmFolder(
  target: string,
  { tree, environment }: { tree: string; environment: NodeJS.ProcessEnv },
): void {
  const lib = "lib/nexcage";
  const files = controllerFiles(tree).filter((path) => path.startsWith(`${lib}/`));
  place(target, { tree: join(tree, lib), files: files.map((path) => path.slice(lib.length + 1)) });
  cpSync(join(import.meta.dirname, "npm-bin.cjs"), join(target, "bin.cjs"));
  pages(target, { native: true, node: true });
  const { version, description, license, engines } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  );
  const { GITHUB_SERVER_URL, GITHUB_REPOSITORY } = environment;
  const manifest = {
    name: "nexcage",
    version,
    description,
    license,
    // npm compares it with the attestation of who publishes.
    ...(GITHUB_REPOSITORY && {
      repository: { type: "git", url: `git+${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}.git` },
    }),
    engines,
    bin: { nexcage: "bin.cjs" },
  };
  writeFileSync(join(target, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/** The licences of all that is in nexcage, for who has it as one file. */
export function licencesText(): string {
  const licences = copyrightOf({ npm: true, native: true, node: true });
  const texts = commonIn(licences).map((path) => `${path}\n\n${readFileSync(path, "utf8")}`);
  return [licences, ...texts].join(`\n${"-".repeat(78)}\n\n`);
}

function place(target: string, { tree, files }: { tree: string; files: readonly string[] }): void {
  for (const path of files) {
    const to = join(target, path);
    mkdirSync(dirname(to), { recursive: true });
    share(join(tree, path), to);
  }
}

/** Our pages and licence, and the licences of everything else inside. */
function pages(target: string, parts: { native: boolean; node: boolean }): void {
  for (const name of ["README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "docs"])
    cpSync(join(root, name), join(target, name), { recursive: true });
  const licences = copyrightOf({ npm: true, ...parts });
  writeFileSync(join(target, "THIRD-PARTY"), licences.replaceAll(commonLicences, "licences"));
  mkdirSync(join(target, "licences"));
  for (const path of commonIn(licences))
    cpSync(path, join(target, "licences", basename(path)), { dereference: true });
}

/** The whole texts that it refers to. */
function commonIn(licences: string): string[] {
  return [...new Set(licences.match(new RegExp(`${commonLicences}/[\\w.-]*\\w`, "g")))];
}
