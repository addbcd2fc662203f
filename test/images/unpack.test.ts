import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import test from "ava";
import { execa } from "execa";
import { unpack } from "../../agent/images/unpack.ts";
import { type Entry, smallImage, tarOf, writeTar } from "./archives.ts";

const isRoot = process.getuid?.() === 0;
const rootTest = isRoot ? test : test.skip; // owners, devices and capabilities are root's to give
const signal = () => AbortSignal.timeout(60_000);

async function workFolder() {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-unpack-"));
  const into = join(folder, "rootfs");
  await mkdir(into);
  return {
    folder,
    into,
    file: join(folder, "image.tar"),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

/** Node has no extended attributes. */
async function python(statement: string, path: string): Promise<string> {
  return (await execa("python3", ["-c", `import os, sys; path = sys.argv[1]; ${statement}`, path])).stdout;
}

for (const [title, compress] of [
  ["a plain tar", (tar: Buffer) => tar],
  ["a tar.gz", (tar: Buffer) => gzipSync(tar)],
  [
    "a tar.gz of several members",
    (tar: Buffer) => Buffer.concat([gzipSync(tar.subarray(0, 700)), gzipSync(tar.subarray(700))]),
  ],
  ["a tar.zst", (tar: Buffer) => zstdCompressSync(tar)],
  [
    "a tar.zst of several frames",
    (tar: Buffer) =>
      Buffer.concat([zstdCompressSync(tar.subarray(0, 700)), zstdCompressSync(tar.subarray(700))]),
  ],
] as const)
  test(`${title} is unpacked, whatever its file is called`, async (t) => {
    await using work = await workFolder();
    await writeFile(work.file, compress(await tarOf(smallImage)));
    await unpack(work.file, { into: work.into, signal: signal() });
    t.is(await readFile(join(work.into, "bin/hello"), "utf8"), "#!/bin/sh\necho hello\n");
    t.is((await lstat(join(work.into, "bin/hello"))).mode & 0o7777, 0o755);
  });

test("the folders that every container mounts on are made where they are missing", async (t) => {
  await using work = await workFolder();
  await unpack(await writeTar(work.file, smallImage), { into: work.into, signal: signal() });
  t.deepEqual((await readdir(work.into)).sort(), ["bin", "dev", "proc", "sys"]);
});

rootTest("owners, modes, setuid, links, times, pipes and capabilities are what they were", async (t) => {
  await using work = await workFolder();
  const from = join(work.folder, "from");
  const longName = `${"d".repeat(120)}/${"f".repeat(120)}`;
  await mkdir(join(from, "d".repeat(120)), { recursive: true });
  for (const name of [longName, "ping", "ünï", "su"]) await writeFile(join(from, name), name);
  const shell = `set -e; cd "$0"; chown 12:34 ping; chmod 4755 su; ln su su-too; ln -s /bin/busybox sh;
    ln -s ../../etc/x up; mkfifo -m 600 pipe; mkdir -m 2750 shared; touch -h -d @1000000000 *`;
  await execa("sh", ["-c", shell, from]);
  await python(
    "os.setxattr(path, 'security.capability', bytes.fromhex('0100000200200000000000000000000000000000'))",
    join(from, "ping"),
  );
  await python("os.setxattr(path, 'user.note', bytes([0xff, 0x0a, 0x00]))", join(from, "su"));
  await execa("tar", ["--xattrs", "--xattrs-include=*", "-C", from, "-cf", work.file, "."]);

  await unpack(work.file, { into: work.into, signal: signal() });

  const listing = async (folder: string) => {
    const { stdout } = await execa("find", [
      folder,
      "-mindepth",
      "1",
      "-printf",
      "%P %y %m %U:%G %n %Ts %l\n",
    ]);
    return stdout
      .split("\n")
      .filter((line) => !/^(dev|proc|sys) /.test(line))
      .sort();
  };
  t.deepEqual(await listing(work.into), await listing(from));
  const xattrs = "print(sorted((name, os.getxattr(path, name)) for name in os.listxattr(path)))";
  t.regex(await python(xattrs, join(work.into, "ping")), /security\.capability', b'\\x01/);
  for (const name of ["ping", "su"])
    t.is(await python(xattrs, join(work.into, name)), await python(xattrs, join(from, name)));
  t.is(await readFile(join(work.into, longName), "utf8"), longName);
});

rootTest("an archive with GNU's long names is unpacked as GNU tar does", async (t) => {
  await using work = await workFolder();
  const from = join(work.folder, "from");
  const name = `${"d".repeat(200)}/${"f".repeat(200)}`;
  await mkdir(join(from, "d".repeat(200)), { recursive: true });
  await writeFile(join(from, name), "far");
  await execa("ln", ["-s", `${name}${"/x".repeat(40)}`, join(from, "link")]);
  await execa("tar", ["--format=gnu", "-C", from, "-cf", work.file, "."]);
  await unpack(work.file, { into: work.into, signal: signal() });
  t.is(await readFile(join(work.into, name), "utf8"), "far");
  t.is(await readlink(join(work.into, "link")), `${name}${"/x".repeat(40)}`);
});

rootTest("devices in /dev are left out, as every container has its own", async (t) => {
  await using work = await workFolder();
  const entries: Entry[] = [
    ...smallImage,
    { name: "dev/", type: "directory" },
    { name: "dev/sda", type: "block-device", devmajor: 8, devminor: 0 },
    { name: "dev/null", type: "character-device", devmajor: 1, devminor: 3 },
  ];
  await unpack(await writeTar(work.file, entries), { into: work.into, signal: signal() });
  t.deepEqual(await readdir(join(work.into, "dev")), []);
});

rootTest("extended attributes that mean something to the host's overlayfs are left out", async (t) => {
  await using work = await workFolder();
  const pax = { "SCHILY.xattr.trusted.overlay.opaque": "y", "SCHILY.xattr.user.kept": "yes" };
  const entries: Entry[] = [...smallImage, { name: "etc/", type: "directory", pax }];
  await unpack(await writeTar(work.file, entries), { into: work.into, signal: signal() });
  t.is(await python("print(os.listxattr(path))", join(work.into, "etc")), "['user.kept']");
});

const file = (name: string): Entry => ({ name, content: "x" });
const link = (name: string, linkname: string): Entry => ({ name, type: "symlink", linkname });
const hardLink = (name: string, linkname: string): Entry => ({ name, type: "link", linkname });

const refused: { title: string; entries: Entry[]; message: RegExp }[] = [
  { title: "an entry with ../", entries: [file("../escaped")], message: /"\.\.\/escaped" leaves its root/ },
  {
    title: "an entry with /../ in its middle",
    entries: [file("a/../../escaped")],
    message: /"a\/\.\.\/\.\.\/escaped" leaves/,
  },
  {
    title: "an absolute entry",
    entries: [file("/escaped")],
    message: /"\/escaped" leaves its root: its name is absolute/,
  },
  {
    title: "an entry that goes through a link to outside",
    entries: [link("out", "OUTSIDE"), file("out/escaped")],
    message: /"out\/escaped" goes through the link "out"/,
  },
  {
    title: "an entry that goes through a link to inside",
    entries: [file("a/x"), link("b", "a"), file("b/y")],
    message: /"b\/y" goes through the link "b"/,
  },
  {
    title: "an entry through a link, written in another way",
    entries: [link("./out/", "OUTSIDE"), file("out//./escaped")],
    message: /goes through the link "out"/,
  },
  {
    title: "an entry through a hard link to a link",
    entries: [link("l", "OUTSIDE"), hardLink("m", "l"), file("m/escaped")],
    message: /"m\/escaped" goes through the link "m"/,
  },
  {
    title: "a folder that becomes a link",
    entries: [file("a/x"), link("a", "OUTSIDE"), file("a/escaped")],
    message: /"a" is in it twice/,
  },
  {
    title: "a link that becomes a folder",
    entries: [link("a", "OUTSIDE"), { name: "a/", type: "directory" }, file("a/escaped")],
    message: /"a\/" is in it twice/,
  },
  {
    title: "a hard link to outside",
    entries: [hardLink("passwd", "../../etc/passwd")],
    message: /the hard link "passwd" leaves its root/,
  },
  {
    title: "an absolute hard link",
    entries: [hardLink("passwd", "/etc/passwd")],
    message: /the hard link "passwd" leaves its root/,
  },
  {
    title: "a hard link through a link",
    entries: [link("etc", "/etc"), hardLink("passwd", "etc/passwd")],
    message: /the hard link "passwd" goes through the link "etc"/,
  },
  {
    title: "a hard link to what is not in it",
    entries: [hardLink("a", "b")],
    message: /the hard link "a" is to "b", which is no file/,
  },
  {
    title: "a device outside /dev",
    entries: [{ name: "disk", type: "block-device", devmajor: 8, devminor: 0 }],
    message: /"disk" is a device/,
  },
  {
    title: "a /dev that is a link",
    entries: [...smallImage, link("dev", "/tmp")],
    message: /"dev" is not a folder/,
  },
  {
    title: "a /proc that is a file",
    entries: [...smallImage, file("proc")],
    message: /"proc" is not a folder/,
  },
  { title: "a root that is a link", entries: [link("./", "/tmp")], message: /"\.\/" is not a folder/ },
  { title: "an archive without entries", entries: [], message: /there is nothing in it/ },
];
for (const { title, entries, message } of refused)
  test(`${title} is refused, and nothing outside is touched`, async (t) => {
    await using work = await workFolder();
    const outside = join(work.folder, "outside");
    await mkdir(outside);
    const aimed = entries.map((entry) =>
      entry.linkname === "OUTSIDE" ? { ...entry, linkname: outside } : entry,
    );
    await writeTar(work.file, aimed);
    await t.throwsAsync(unpack(work.file, { into: work.into, signal: signal() }), {
      code: "IMAGE_INVALID",
      message,
    });
    t.deepEqual(await readdir(outside), []);
    t.deepEqual((await readdir(work.folder)).sort(), ["image.tar", "outside", "rootfs"]);
  });

test("a file that is no tar is refused", async (t) => {
  await using work = await workFolder();
  await writeFile(work.file, "no tar at all\n".repeat(100));
  await t.throwsAsync(unpack(work.file, { into: work.into, signal: signal() }), {
    code: "IMAGE_INVALID",
    message: "the image cannot be used: it is not a tar archive",
  });
});

test("a tar.xz is refused with what to do", async (t) => {
  await using work = await workFolder();
  await writeFile(work.file, Buffer.from("fd377a585a000004", "hex"));
  await t.throwsAsync(unpack(work.file, { into: work.into, signal: signal() }), {
    message: "the image is compressed with xz",
  });
});

for (const [title, compress] of [
  ["tar", (tar: Buffer) => tar],
  ["tar.gz", (tar: Buffer) => gzipSync(tar)],
  ["tar.zst", (tar: Buffer) => zstdCompressSync(tar)],
] as const)
  test(`a ${title} that is cut off is refused`, async (t) => {
    await using work = await workFolder();
    const random = Array.from({ length: 3000 }, (_, index) => (index * index * 7919).toString(36)).join("");
    const whole = compress(await tarOf([...smallImage, { name: "data", content: random }]));
    for (const part of [0.3, 0.6, 0.9]) {
      await writeFile(work.file, whole.subarray(0, Math.floor(whole.length * part)));
      await t.throwsAsync(unpack(work.file, { into: work.into, signal: signal() }), {
        code: "IMAGE_INVALID",
        message: /it is cut off|its compressed data is damaged/,
      });
    }
  });

test("a damaged header is refused", async (t) => {
  await using work = await workFolder();
  const tar = await tarOf(smallImage);
  tar.write("x", 512 + 10);
  await writeFile(work.file, tar);
  await t.throwsAsync(unpack(work.file, { into: work.into, signal: signal() }), {
    message: /a header in it is damaged/,
  });
});

test("an archive that unpacks to more than the limit is refused before it is written", async (t) => {
  await using work = await workFolder();
  const tar = await tarOf([...smallImage, { name: "bomb", content: "0".repeat(20_000_000) }]);
  await writeFile(work.file, zstdCompressSync(tar));
  const limits = { bytes: 1_000_000, entries: 100 };
  await t.throwsAsync(unpack(work.file, { into: work.into, limits, signal: signal() }), {
    code: "IMAGE_INVALID",
    message: /with "bomb" it is larger than 1000000 bytes/,
  });
});

test("an archive with endless zeros behind its end is refused", async (t) => {
  await using work = await workFolder();
  await writeFile(
    work.file,
    zstdCompressSync(Buffer.concat([await tarOf(smallImage), Buffer.alloc(20_000_000)])),
  );
  const limits = { bytes: 1_000_000, entries: 100 };
  await t.throwsAsync(unpack(work.file, { into: work.into, limits, signal: signal() }), {
    code: "IMAGE_INVALID",
  });
});

test("an archive with too many entries is refused", async (t) => {
  await using work = await workFolder();
  await writeTar(
    work.file,
    Array.from({ length: 200 }, (_, index) => file(`f${index}`)),
  );
  const limits = { bytes: 1_000_000, entries: 100 };
  await t.throwsAsync(unpack(work.file, { into: work.into, limits, signal: signal() }), {
    message: /more than 100 entries/,
  });
});

test("unpacking ends when it is cancelled, and leaves no tar running", async (t) => {
  await using work = await workFolder();
  await writeFile(work.file, await tarOf([{ name: "big", content: "x".repeat(50_000_000) }]));
  const controller = new AbortController();
  const unpacking = unpack(work.file, {
    into: work.into,
    onArchive: () => controller.abort(),
    signal: controller.signal,
  });
  await t.throwsAsync(unpacking, { name: "AbortError" });
  const { stdout } = await execa("ps", ["-eo", "args"]);
  t.false(stdout.includes(work.into));
});
