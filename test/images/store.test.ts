import { createHash } from "node:crypto";
import { once } from "node:events";
import { lstat, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import test from "ava";
import { execa } from "execa";
import { pino } from "pino";
import { type ImageStore, openImageStore } from "../../agent/images/store.ts";
import { flock } from "../../agent/libc.ts";
import { lockFileWith } from "../../agent/state/lock.ts";
import { Digest } from "../../shared/ids.ts";
import { type Entry, smallImage, tarOf } from "./archives.ts";

const rootTest = process.getuid?.() === 0 ? test : test.skip; // mounting a small disk is root's
const signal = () => AbortSignal.timeout(60_000);
const none = async () => [];

async function host({ diskBytes }: { diskBytes?: number } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-store-"));
  if (diskBytes !== undefined)
    await execa("mount", ["-t", "tmpfs", "-o", `size=${diskBytes}`, "tmpfs", folder]);
  const root = join(folder, "images");
  const uploads = join(folder, "uploads");
  return {
    folder,
    root,
    uploads,
    open: () =>
      openImageStore({ root, uploads, lockFile: lockFileWith(flock), log: pino({ level: "silent" }) }),
    images: () => readdir(root),
    /** What is not an image: sessions with what they hold. */
    async leftovers() {
      const names = await readdir(uploads, { recursive: true });
      return names.filter((name) => !/^gate$|lock$|leases|^[^/]*$/.test(name));
    },
    async [Symbol.asyncDispose]() {
      if (diskBytes !== undefined) await execa("umount", ["--lazy", folder]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function imageOf(entries: Entry[]) {
  const data = await tarOf(entries);
  const sha256 = createHash("sha256").update(data).digest("hex");
  return { data, announced: { digest: Digest.parse(`sha256:${sha256}`), sha256, bytes: data.length } };
}

async function send(store: ImageStore, { data, announced }: Awaited<ReturnType<typeof imageOf>>) {
  const { upload } = await store.begin(announced);
  const half = Math.floor(data.length / 2);
  await store.chunk(upload, half, data.subarray(half));
  await store.chunk(upload, 0, data.subarray(0, half));
  await store.commit(upload, { signal: signal() });
}

test("an image that was sent is here, by its digest, and needs not be sent again", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const image = await imageOf(smallImage);
  const { digest } = image.announced;
  t.deepEqual(await store.missing([digest]), [digest]);
  await send(store, image);
  t.deepEqual(await store.missing([digest]), []);
  t.is(await store.rootfs(digest), join(at.root, digest.replace(":", "-"), "rootfs"));
  t.is(await readFile(join(await store.rootfs(digest), "bin/hello"), "utf8"), "#!/bin/sh\necho hello\n");
  t.like(await store.begin(image.announced), { present: true });
  t.deepEqual(await at.leftovers(), []);
});

test("images and uploads can be read by their owner alone", async (t) => {
  await using at = await host();
  await using store = await at.open();
  await send(store, await imageOf(smallImage));
  for (const folder of [at.root, at.uploads]) t.is((await lstat(folder)).mode & 0o777, 0o700);
});

test("an upload may be written to its path by others, and is checked all the same", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { data, announced } = await imageOf(smallImage);
  const { upload, path } = await store.begin(announced);
  await writeFile(path, data);
  await store.commit(upload, { signal: signal() });
  t.deepEqual(await store.missing([announced.digest]), []);
});

test("a folder's image is known by the tar in it, however it was compressed on its way", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { data, announced } = await imageOf(smallImage);
  const packed = zstdCompressSync(data);
  const sha256 = createHash("sha256").update(packed).digest("hex");
  await send(store, { data: packed, announced: { digest: announced.digest, sha256, bytes: packed.length } });
  t.deepEqual(await store.missing([announced.digest]), []);
});

test("an image that is not what its digest says is refused", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { data, announced } = await imageOf(smallImage);
  const digest = Digest.parse(`sha256:${"0".repeat(64)}`);
  const sending = send(store, { data, announced: { ...announced, digest } });
  await t.throwsAsync(sending, {
    code: "IMAGE_INVALID",
    message: /the tar in image sha256:0+ has the sha256/,
  });
  t.deepEqual(await at.images(), []);
  t.deepEqual(await at.leftovers(), []);
});

test("bytes that changed on their way are refused, and nothing of them stays", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { data, announced } = await imageOf(smallImage);
  const damaged = Buffer.from(data);
  damaged.writeUInt8(damaged.readUInt8(600) ^ 1, 600);
  await t.throwsAsync(send(store, { data: damaged, announced }), {
    code: "UPLOAD_FAILED",
    message: /what arrived of image .* is not what was sent/,
  });
  t.deepEqual(await at.images(), []);
  t.deepEqual(await at.leftovers(), []);
});

test("fewer or more bytes than announced are refused", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { data, announced } = await imageOf(smallImage);
  const short = await store.begin(announced);
  await store.chunk(short.upload, 0, data.subarray(0, 100));
  await t.throwsAsync(store.commit(short.upload, { signal: signal() }), {
    code: "UPLOAD_FAILED",
    message: /of image sha256:.* 100 bytes arrived, not \d+/,
  });
  const long = await store.begin(announced);
  await t.throwsAsync(store.chunk(long.upload, data.length - 1, Buffer.alloc(2)), { code: "UPLOAD_FAILED" });
});

test("an upload that was cancelled, or does not exist, cannot be written to", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { announced } = await imageOf(smallImage);
  const { upload } = await store.begin(announced);
  await store.cancel(upload);
  await t.throwsAsync(store.chunk(upload, 0, Buffer.from("x")), { code: "UPLOAD_FAILED" });
  await t.throwsAsync(store.commit("../x", { signal: signal() }), { code: "UPLOAD_FAILED" });
  t.deepEqual(await at.leftovers(), []);
});

test("a bad archive leaves nothing behind, and a good one can be sent after it", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const bad = await imageOf([...smallImage, { name: "../escaped", content: "x" }]);
  await t.throwsAsync(send(store, bad), { code: "IMAGE_INVALID", message: /"\.\.\/escaped"/ });
  t.deepEqual(await at.images(), []);
  t.deepEqual(await at.leftovers(), []);
  await send(store, await imageOf(smallImage));
  t.is((await at.images()).length, 1);
});

test("two sessions that send the same image at once end with one", async (t) => {
  await using at = await host();
  await using one = await at.open();
  await using other = await at.open();
  const image = await imageOf(smallImage);
  await Promise.all([send(one, image), send(other, image)]);
  t.is((await at.images()).length, 1);
  t.is(await one.rootfs(image.announced.digest), await other.rootfs(image.announced.digest));
  t.deepEqual(await at.leftovers(), []);
});

test("an image that is not here is missing by name", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { digest } = (await imageOf(smallImage)).announced;
  await t.throwsAsync(store.rootfs(digest), { code: "IMAGE_MISSING", message: new RegExp(digest) });
});

test("what no container uses is pruned, what one uses stays", async (t) => {
  await using at = await host();
  const images = await Promise.all(
    ["a", "b"].map((name) => imageOf([...smallImage, { name, content: name }])),
  );
  {
    await using sender = await at.open();
    for (const image of images) await send(sender, image);
  }
  const [used, unused] = images.map((image) => image.announced.digest);
  if (used === undefined || unused === undefined) throw new Error("two images were made");
  await using store = await at.open();
  t.deepEqual(await store.prune(async () => [used]), [unused]);
  t.deepEqual(await at.images(), [used.replace(":", "-")]);
  t.deepEqual(await at.leftovers(), []);
});

test("what a live session asked for or sends is not pruned until it ends", async (t) => {
  await using at = await host();
  const image = await imageOf(smallImage);
  const { digest } = image.announced;
  {
    await using sender = await at.open();
    await send(sender, image);
  }
  await using pruner = await at.open();
  {
    await using asking = await at.open();
    await asking.missing([digest]);
    t.deepEqual(await pruner.prune(none), []);
    await asking.rootfs(digest);
  }
  t.deepEqual(await pruner.prune(none), [digest]);
});

test("a container that is recorded while another process prunes keeps its image", async (t) => {
  await using at = await host();
  const image = await imageOf(smallImage);
  const { digest } = image.announced;
  const creator = await at.open();
  await send(creator, image);
  await using pruner = await at.open();
  const records: Digest[] = [];
  const removed = await pruner.prune(async () => {
    records.push(digest);
    await creator[Symbol.asyncDispose]();
    return records;
  });
  t.deepEqual(removed, []);
});

test("a process that was killed while it sent leaves nothing once another opens the store", async (t) => {
  await using at = await host();
  const program = execa("node", ["test/images/half-upload.ts", at.folder], { reject: false });
  await once(program.stdout, "data", { signal: signal() });
  t.true((await at.leftovers()).some((name) => name.endsWith(".tar")));
  {
    await using _alive = await at.open();
    t.true(
      (await at.leftovers()).some((name) => name.endsWith(".tar")),
      "it lives: nothing is swept",
    );
  }
  program.kill("SIGKILL");
  await program;
  await using _store = await at.open();
  t.deepEqual(await readdir(at.uploads), []);
});

test("a store that is closed leaves its images and nothing else", async (t) => {
  await using at = await host();
  {
    await using store = await at.open();
    const { announced } = await imageOf(smallImage);
    await store.begin(announced);
  }
  t.deepEqual(await readdir(at.uploads), []);
});

rootTest("an image that cannot fit is refused before a byte is sent", async (t) => {
  await using at = await host({ diskBytes: 4 * 1024 * 1024 });
  await using store = await at.open();
  const { announced } = await imageOf(smallImage);
  await t.throwsAsync(store.begin({ ...announced, bytes: 3 * 1024 * 1024 }), {
    code: "DISK_FULL",
    message: /the image needs 6 MiB, and 4 MiB are free in .*uploads/,
  });
});

rootTest(
  "a disk that fills up while an image is sent is a clear error, and it can be sent once there is space",
  async (t) => {
    await using at = await host({ diskBytes: 8 * 1024 * 1024 });
    await using store = await at.open();
    const image = await imageOf([...smallImage, { name: "data", content: "x".repeat(2_000_000) }]);
    const { upload } = await store.begin(image.announced);
    const ballast = join(at.folder, "ballast");
    await writeFile(ballast, Buffer.alloc(7 * 1024 * 1024));
    await t.throwsAsync(store.chunk(upload, 0, image.data), {
      code: "DISK_FULL",
      message: /no space left .*uploads/,
    });
    await store.cancel(upload);
    t.deepEqual(await at.leftovers(), []);
    await rm(ballast);
    await send(store, image);
    t.deepEqual(await store.missing([image.announced.digest]), []);
  },
);

for (const [title, entries] of [
  ["with its files", [{ name: "data", content: "x".repeat(20_000_000) }]],
  [
    "with its many small files",
    Array.from({ length: 3000 }, (_, index) => ({ name: `f${index}`, content: "x" })),
  ],
] as const)
  rootTest(`a disk that an image fills ${title} is a clear error, and nothing of it stays`, async (t) => {
    await using at = await host({ diskBytes: 8 * 1024 * 1024 });
    await using store = await at.open();
    const { data, announced } = await imageOf([...smallImage, ...entries]);
    const packed = zstdCompressSync(data);
    const sha256 = createHash("sha256").update(packed).digest("hex");
    const sending = send(store, { data: packed, announced: { ...announced, sha256, bytes: packed.length } });
    await t.throwsAsync(sending, { code: "DISK_FULL", message: /no space left|are free/ });
    t.deepEqual(await at.images(), []);
    t.deepEqual(await at.leftovers(), []);
    await send(store, await imageOf(smallImage));
    t.is((await at.images()).length, 1);
  });

test("an unpacking that is cancelled leaves nothing", async (t) => {
  await using at = await host();
  await using store = await at.open();
  const { data, announced } = await imageOf([
    ...smallImage,
    { name: "data", content: "x".repeat(10_000_000) },
  ]);
  const { upload } = await store.begin(announced);
  await store.chunk(upload, 0, data);
  await t.throwsAsync(store.commit(upload, { signal: AbortSignal.abort() }), { name: "AbortError" });
  t.deepEqual(await at.images(), []);
  t.deepEqual(await at.leftovers(), []);
});
