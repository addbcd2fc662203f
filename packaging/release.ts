/*
 * Builds all that is published of a version: release.ts [--out DIR] [--key FILE] [--from DIR] [--quick]
 *
 * FILE is an SSH private key that signs; without one a key is made that signs once, for a try. `--from` is an unpacked
 * `nexcage-*.tar.zst` of the same sources, to compare with: what cannot be built again comes from there, which is the
 * code that V8 has compiled, and the signature of the agent. `--quick` compresses less.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { version } from "../shared/version.ts";
import { fail } from "./debian/fail.ts";
import { archive } from "./release/archive.ts";
import { componentsOf } from "./release/components.ts";
import { agentFolder, controllerFolder, licencesText, npmFolder } from "./release/folders.ts";
import { type Artifact, provenance, sourceOf } from "./release/provenance.ts";
import { cycloneDx, spdx } from "./release/sbom.ts";
import { allowedSigner, openKey, type SigningKey, sign } from "./release/sign.ts";
import { requireSourceEpoch } from "./source-epoch.ts";

const defaultOut = join(import.meta.dirname, "../dist/release");
const platform = `linux-${process.arch}`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: defaultOut },
      key: { type: "string" },
      from: { type: "string" },
      quick: { type: "boolean", default: false },
    },
  });
  process.umask(0o022);
  const out = resolve(values.out);
  await emptyFolder(out);
  await using key = await openKey(values.key);
  await using work = await temporaryFolder();
  const { tree, build } = await buildTree(work.path, { key, from: values.from, isQuick: values.quick });
  await writePackages(out, { tree, build, work: work.path, isQuick: values.quick });

  const contents = { version, epoch: requireSourceEpoch(), components: await componentsOf(tree) };
  await writeFile(join(out, `nexcage-${version}.cdx.json`), cycloneDx(contents));
  await writeFile(join(out, `nexcage-${version}.spdx.json`), spdx(contents));
  const how = { version, isQuick: values.quick, source: await sourceOf(), environment: process.env };
  await writeFile(join(out, "provenance.intoto.jsonl"), provenance(await artifactsIn(out), how));

  const artifacts = await artifactsIn(out);
  const sums = join(out, "SHA256SUMS");
  await writeFile(sums, artifacts.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(""));
  await sign(sums, { key, namespace: "nexcage-release" });
  for (const { name } of artifacts) console.log(`${(await stat(join(out, name))).size}\t${name}`);
  console.log(`signed; for a file of allowed signers:\n${await allowedSigner(key)}`);
}

/** A tree as `npm run build` leaves it, apart from `dist/`; its agent is signed. */
async function buildTree(
  work: string,
  { key, from, isQuick }: { key: SigningKey; from: string | undefined; isQuick: boolean },
): Promise<{ tree: string; build: string }> {
  const tree = join(work, "tree");
  const compiled = from === undefined ? undefined : await compiledCode(resolve(from), work);
  await script("build.ts", [
    ...["--out", tree],
    ...(compiled === undefined ? [] : ["--compiled", compiled]),
    ...(isQuick ? [] : ["--release"]),
  ]);
  const build = join(tree, "lib/nexcage/agents", platform);
  const sums = join(build, "SHA256SUMS");
  if (from === undefined) await sign(sums, { key, namespace: "nexcage-agent" });
  else await copyFile(join(from, "lib/nexcage/agents", platform, "SHA256SUMS.sig"), `${sums}.sig`);
  return { tree, build };
}

/** A folder with the compiled code of both programs; that of the agent is in the archive for hosts. */
async function compiledCode(from: string, work: string): Promise<string> {
  const folder = join(work, "compiled");
  await mkdir(folder);
  await copyFile(join(from, "lib/nexcage/nexcage.cache"), join(folder, "nexcage.cache"));
  const agent = join(work, "published-agent");
  await execa("dpkg-deb", ["--extract", join(from, "lib/nexcage/agents", platform, "agent.deb"), agent]);
  await copyFile(join(agent, "lib/nexcage/nexcage-agent.cache"), join(folder, "nexcage-agent.cache"));
  return folder;
}

async function writePackages(
  out: string,
  { tree, build, work, isQuick }: { tree: string; build: string; work: string; isQuick: boolean },
): Promise<void> {
  const how = { folder: work, epoch: requireSourceEpoch(), level: isQuick ? 3 : 19 };
  const controller = `nexcage-${version}-${platform}`;
  controllerFolder(join(work, controller), tree);
  await archive(join(out, `${controller}.tar.zst`), { ...how, name: controller });
  await script("single-file.ts", ["--dist", tree, "--out", join(out, controller)]);
  await writeFile(join(out, `nexcage-${version}.licences.txt`), licencesText());
  const agent = `nexcage-agent-${version}-${platform}`;
  agentFolder(join(work, agent), { tree, build });
  await archive(join(out, `${agent}.tar.zst`), { ...how, name: agent });
  const npm = join(work, "npm");
  npmFolder(npm, { tree, environment: process.env });
  await execa("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", out, npm], { cwd: work });
  await script("deb.ts", ["--dist", tree, "--out", out, ...(isQuick ? [] : ["--release"])]);
}

/** Of each file there, sorted by name. */
async function artifactsIn(folder: string): Promise<Artifact[]> {
  const names = (await readdir(folder)).sort();
  return await Promise.all(
    names.map(async (name) => {
      const sha256 = createHash("sha256")
        .update(await readFile(join(folder, name)))
        .digest("hex");
      return { name, sha256 };
    }),
  );
}

/** @throws where it holds something, and is not the folder that only releases go into */
async function emptyFolder(path: string): Promise<void> {
  if (path === defaultOut) await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true });
  if ((await readdir(path)).length > 0) throw new Error(`${path} is not empty`);
}

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "nexcage-release-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

async function script(name: string, args: string[]): Promise<void> {
  await execa(process.execPath, [join(import.meta.dirname, name), ...args], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
}

await main().catch((error: unknown) => fail("release", error));
