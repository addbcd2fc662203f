import { createHash } from "node:crypto";
import {
  appendFile,
  chmod,
  cp,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import test from "ava";
import { execa } from "execa";
import { unpack } from "../../agent/images/unpack.ts";
import { openImageCache } from "../../controller/images/cache.ts";
import { type ResolvedImage, resolveImage } from "../../controller/images/resolve.ts";
import { smallImage, tarOf, writeTar } from "./archives.ts";

const rootTest = process.getuid?.() === 0 ? test : test.skip; // root alone makes devices and reads all
const signal = () => AbortSignal.timeout(60_000);
/** When what was written just now has times that can be relied on. */
const later = { now: () => Date.now() + 10_000 };
const anHourAgo = new Date(Date.now() - 3_600_000);

async function workFolder() {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-resolve-"));
  const phases: string[] = [];
  return {
    folder,
    cacheDir: join(folder, "cache"),
    /** What was not known yet when it was resolved. */
    phases,
    resolve(path: string, { now = Date.now } = {}): Promise<ResolvedImage> {
      const onProgress = ({ phase }: { phase: string }) => void phases.push(phase);
      return resolveImage(path, { cacheDir: join(folder, "cache"), signal: signal(), onProgress, now });
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

async function makeFolder(root: string): Promise<void> {
  await mkdir(join(root, "bin"), { recursive: true });
  await mkdir(join(root, "etc/empty"), { recursive: true });
  await writeFile(join(root, "bin/tool"), "#!/bin/sh\n".repeat(1000), { mode: 0o755 });
  await link(join(root, "bin/tool"), join(root, "bin/tool-too"));
  await symlink("/bin/tool", join(root, "sh"));
  await writeFile(join(root, `etc/${"long".repeat(40)}`), "x");
  await writeFile(
    Buffer.concat([Buffer.from(`${root}/etc/`), Buffer.from([0xff, 0x41])]),
    "a name that is no UTF-8",
  );
}

for (const [title, compress] of [
  ["tar", (tar: Buffer) => tar],
  ["tar.gz", (tar: Buffer) => gzipSync(tar)],
  ["tar.zst", (tar: Buffer) => zstdCompressSync(tar)],
] as const)
  test(`a ${title} is sent as it is, and known by the sha256 of its file`, async (t) => {
    await using work = await workFolder();
    const file = join(work.folder, "image");
    const data = compress(await tarOf(smallImage));
    await writeFile(file, data);
    const sha256 = createHash("sha256").update(data).digest("hex");
    t.deepEqual(await work.resolve(file), { digest: `sha256:${sha256}`, file, bytes: data.length, sha256 });
  });

test("a tar that has not changed is not read again, one that has is", async (t) => {
  await using work = await workFolder();
  const file = await writeTar(join(work.folder, "image.tar"), smallImage);
  const first = await work.resolve(file, later);
  t.deepEqual(await work.resolve(file, later), first);
  t.deepEqual(work.phases, ["hashing"]);
  await appendFile(file, Buffer.alloc(512));
  t.not((await work.resolve(file, later)).digest, first.digest);
  t.deepEqual(work.phases, ["hashing", "hashing"]);
});

test("a tar that was changed a moment ago is not taken for known", async (t) => {
  await using work = await workFolder();
  const file = await writeTar(join(work.folder, "image.tar"), smallImage);
  await work.resolve(file);
  await work.resolve(file);
  t.deepEqual(work.phases, ["hashing", "hashing"]);
});

test("a folder is packed, and unpacked it is the same: names, contents, modes and links", async (t) => {
  await using work = await workFolder();
  const [from, into] = [join(work.folder, "rootfs"), join(work.folder, "unpacked")];
  await makeFolder(from);
  await mkdir(into);
  const { digest, file, bytes, sha256 } = await work.resolve(from);
  const sent = await readFile(file);
  t.is(sent.length, bytes);
  t.is(createHash("sha256").update(sent).digest("hex"), sha256);

  const tar = createHash("sha256");
  await unpack(file, { into, onArchive: (data) => tar.update(data), signal: signal() });
  t.is(digest.replace("sha256:", ""), tar.digest("hex"));
  for (const name of ["dev", "proc", "sys"]) await rm(join(into, name), { recursive: true });
  const listing = async (folder: string) => {
    const { stdout } = await execa("find", [folder, "-mindepth", "1", "-printf", "%P %y %m %n %l\n"], {
      encoding: "latin1",
    });
    return stdout.split("\n").sort();
  };
  t.deepEqual(await listing(into), await listing(from));
  t.is(await readFile(join(into, "bin/tool"), "utf8"), "#!/bin/sh\n".repeat(1000));
  t.is((await lstat(join(into, "bin/tool"))).ino, (await lstat(join(into, "bin/tool-too"))).ino);
  t.is(await readlink(join(into, "sh")), "/bin/tool");
});

test("GNU tar reads what we pack as we do", async (t) => {
  await using work = await workFolder();
  const from = join(work.folder, "rootfs");
  await makeFolder(from);
  const { file } = await work.resolve(from);
  const { stdout } = await execa("tar", ["--zstd", "-tf", file, "--quoting-style=literal"]);
  t.deepEqual(
    stdout.split("\n").slice(0, 5),
    ["bin/", "bin/tool", "bin/tool-too", "etc/", "etc/empty/"].map((name) => name.replace(/\/$/, "")),
  );
});

test("the same files have the same digest, whenever and wherever they were made", async (t) => {
  await using work = await workFolder();
  await using elsewhere = await workFolder();
  const folder = join(work.folder, "rootfs");
  await makeFolder(folder);
  const copy = join(elsewhere.folder, "other-name");
  await execa("cp", ["-a", folder, copy]);
  await utimes(join(copy, "bin/tool"), anHourAgo, anHourAgo);
  const first = await work.resolve(folder);
  t.is((await elsewhere.resolve(copy)).digest, first.digest);
  t.deepEqual((await work.resolve(folder)).digest, first.digest);
});

const changes: { title: string; change: (folder: string) => Promise<unknown> }[] = [
  { title: "content", change: (folder) => appendFile(join(folder, "bin/tool"), "x") },
  { title: "mode", change: (folder) => chmod(join(folder, "bin/tool"), 0o700) },
  { title: "name", change: (folder) => cp(join(folder, "bin/tool"), join(folder, "bin/new")) },
  { title: "missing file", change: (folder) => rm(join(folder, "sh")) },
];
for (const { title, change } of changes)
  test(`a folder with another ${title} has another digest`, async (t) => {
    await using work = await workFolder();
    const folder = join(work.folder, "rootfs");
    await makeFolder(folder);
    const before = await work.resolve(folder);
    await change(folder);
    t.not((await work.resolve(folder)).digest, before.digest);
  });

test("a folder that has not changed is not packed again, unless its packed file is gone", async (t) => {
  await using work = await workFolder();
  const folder = join(work.folder, "rootfs");
  await makeFolder(folder);
  const first = await work.resolve(folder, later);
  t.deepEqual(await work.resolve(folder, later), first);
  t.deepEqual(work.phases, ["packing"]);
  await rm(first.file);
  t.deepEqual((await work.resolve(folder, later)).digest, first.digest);
  t.deepEqual(work.phases, ["packing", "packing"]);
});

test("what is damaged in the cache is made anew", async (t) => {
  await using work = await workFolder();
  const folder = join(work.folder, "rootfs");
  await makeFolder(folder);
  const first = await work.resolve(folder, later);
  for (const name of await readdir(join(work.cacheDir, "known")))
    await writeFile(join(work.cacheDir, "known", name), "{");
  t.deepEqual(await work.resolve(folder, later), first);
  await writeFile(first.file, "cut off");
  t.is((await readFile((await work.resolve(folder, later)).file)).length, first.bytes);
});

test("what was not used for a month is trimmed, and files that were never finished", async (t) => {
  await using work = await workFolder();
  const folder = join(work.folder, "rootfs");
  await makeFolder(folder);
  const { file } = await work.resolve(folder);
  const [old, half, young] = ["old.tar.zst", "half.part", "young.tar.zst"].map((name) =>
    join(work.cacheDir, name),
  );
  for (const path of [old, half, young]) await writeFile(path ?? "", "x");
  const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
  await utimes(old ?? "", daysAgo(31), daysAgo(31));
  await utimes(half ?? "", daysAgo(2), daysAgo(2));
  await utimes(young ?? "", daysAgo(2), daysAgo(2));
  await (await openImageCache(work.cacheDir, { now: Date.now })).trim({ except: file });
  t.deepEqual(
    (await readdir(work.cacheDir)).sort(),
    [file.slice(work.cacheDir.length + 1), "known", "young.tar.zst"].sort(),
  );
});

test("what cannot be an image is refused by its path", async (t) => {
  await using work = await workFolder();
  const file = join(work.folder, "file");
  const refused = async (path: string, message: string) =>
    await t.throwsAsync(work.resolve(path), { code: "INVALID_FILE", message });
  await refused(join(work.folder, "no-such"), `${work.folder}/no-such does not exist`);
  await mkdir(join(work.folder, "empty"));
  await refused(join(work.folder, "empty"), `${work.folder}/empty is an empty folder`);
  await refused("/dev/null", "/dev/null is neither a folder nor a tar archive");
  for (const content of [
    Buffer.alloc(0),
    Buffer.from("no tar\n".repeat(500)),
    gzipSync("no tar"),
    zstdCompressSync("no tar"),
  ]) {
    await writeFile(file, content);
    await refused(file, `${file} is not a tar archive`);
  }
  await writeFile(file, Buffer.from("fd377a585a0000ff", "hex"));
  await refused(file, `${file} is compressed with xz`);
});

rootTest("a device in a folder is refused by its path, but in dev it is left out", async (t) => {
  await using work = await workFolder();
  const folder = join(work.folder, "rootfs");
  await makeFolder(folder);
  await mkdir(join(folder, "dev"));
  await execa("mknod", [join(folder, "dev/null"), "c", "1", "3"]);
  await work.resolve(folder);
  await execa("mknod", [join(folder, "disk"), "b", "8", "0"]);
  await t.throwsAsync(work.resolve(folder), {
    code: "INVALID_FILE",
    message: `${folder}/disk is a device, which an image cannot have`,
  });
});

test("packing that is cancelled leaves nothing in the cache", async (t) => {
  await using work = await workFolder();
  const folder = join(work.folder, "rootfs");
  await mkdir(folder);
  await writeFile(join(folder, "big"), Buffer.alloc(50_000_000, "x"));
  const controller = new AbortController();
  const packing = resolveImage(folder, {
    cacheDir: work.cacheDir,
    signal: controller.signal,
    onProgress: () => setImmediate(() => controller.abort()),
  });
  await t.throwsAsync(packing, { name: "AbortError" });
  t.deepEqual(await readdir(work.cacheDir), ["known"]);
});
