import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** What an agent is made of beside Node, by its path in the folder where it is installed. */
export const agentFiles = [
  "nexcage-agent",
  "lib/nexcage/koffi.node",
  "lib/nexcage/libncx.so",
  "lib/nexcage/nexcage-agent.cache",
  "lib/nexcage/nexcage-agent.cjs",
  "lib/nexcage/nexcage-agent.js",
  "lib/nexcage/nexcage-forker",
  "lib/nexcage/nexcage-monitor",
  "lib/nexcage/nexcage-oci",
  "lib/nexcage/nexcage-shim",
] as const;
export const nodeFile = "lib/nexcage/node";

/** So that the same files always make the same archive. */
export const epoch = "1700000000";

/**
 * Makes of a built tree what `fleet bootstrap` sends, in a folder of its own: `agent.deb` and `node.deb`, which any
 * Debian unpacks with nothing installed; `SHA256SUMS` of them and of what is in them, which is what is signed; and
 * `build.json`. Node is an archive by itself, because a host has it already when only the agent is new.
 */
export function packAgent(
  tree: string,
  target: string,
  { version, level }: { version: string; level: number },
): void {
  mkdirSync(target, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), "nexcage-pack-"));
  try {
    archive(join(target, "agent.deb"), {
      tree,
      files: agentFiles,
      folder,
      name: "nexcage-agent-build",
      level,
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
  const nodeSha256 = sha256(join(tree, nodeFile));
  packNode(join(target, "node.deb"), { tree, nodeSha256, level });

  const line = (folder: string) => (path: string) => `${sha256(join(folder, path))}  ${path}\n`;
  const files = [...agentFiles, nodeFile].sort();
  const sums = [...["agent.deb", "node.deb"].map(line(target)), ...files.map(line(tree))].join("");
  writeFileSync(join(target, "SHA256SUMS"), sums);
  const build = `${version}-${createHash("sha256").update(sums).digest("hex").slice(0, 12)}`;
  writeFileSync(join(tree, "lib/nexcage/BUILD"), `${build}\n`);

  const platform = `linux-${process.arch}`;
  const glibc = newestGlibc([...agentFiles, nodeFile].map((path) => join(tree, path)));
  const part = (file: string) => ({ file, bytes: statSync(join(target, file)).size });
  const described = { build, version, platform, glibc, nodeSha256 };
  writeFileSync(
    join(target, "build.json"),
    `${JSON.stringify({ ...described, agent: part("agent.deb"), node: part("node.deb") }, undefined, 2)}\n`,
  );
}

/** Node takes long to compress, and changes seldom: it is kept in the cache. */
function packNode(
  target: string,
  { tree, nodeSha256, level }: { tree: string; nodeSha256: string; level: number },
): void {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nexcage");
  const kept = join(cache, `node-${nodeSha256.slice(0, 16)}-${level}.deb`);
  try {
    share(kept, target);
    return;
  } catch {
    // made now
  }
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "pack-"));
  try {
    const made = join(folder, "made.deb");
    archive(made, { tree, files: [nodeFile], folder: join(folder, "tree"), name: "nexcage-node", level });
    renameSync(made, kept);
  } finally {
    rmSync(folder, { recursive: true });
  }
  share(kept, target);
}

/** A Debian archive of some files of a tree, and of what the folder holds already. */
function archive(
  target: string,
  options: { tree: string; files: readonly string[]; folder: string; name: string; level: number },
): void {
  const { tree, files, folder, name, level } = options;
  // Whatever umask this is done under.
  const make = (path: string): void => {
    if (existsSync(path) && path !== folder) return;
    mkdirSync(path, { recursive: true });
    chmodSync(path, 0o755);
    if (path !== folder) make(dirname(path));
  };
  make(folder);
  for (const path of files) {
    const copy = join(folder, path);
    make(dirname(copy));
    copyFileSync(join(tree, path), copy);
    chmodSync(copy, (statSync(join(tree, path)).mode & 0o111) === 0 ? 0o644 : 0o755);
  }
  make(join(folder, "DEBIAN"));
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  writeFileSync(
    join(folder, "DEBIAN/control"),
    `Package: ${name}\nVersion: 1\nArchitecture: ${architecture}\nMaintainer: NexCage <nexcage@localhost>\nDescription: part of nexcage-agent\n`,
  );
  const how = ["--root-owner-group", "-Zzstd", `-z${level}`, "--build", folder, target];
  execFileSync("dpkg-deb", how, {
    env: { ...process.env, SOURCE_DATE_EPOCH: epoch },
    stdio: ["ignore", "ignore", "inherit"],
  });
}

/** The newest version of glibc that any of these wants, as in `2.34`. */
function newestGlibc(files: string[]): string {
  const text = files.map((file) => readFileSync(file).toString("latin1")).join("");
  const minors = [...text.matchAll(/\0GLIBC_2\.(\d+)(?=[\0.])/g)].map(([, minor]) => Number(minor));
  return `2.${Math.max(...minors)}`;
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** A hard link where the file system allows one: Node alone is 110 MB. */
export function share(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
