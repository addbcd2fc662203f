import { NexcageError } from "../../shared/errors.ts";
import {
  blockBytes,
  padding,
  parseHeader,
  parsePax,
  type RawHeader,
  type TarEntry,
  typeOf,
} from "../../shared/tar.ts";

export type TarPart = { kind: "entry"; entry: TarEntry } | { kind: "data"; data: Buffer };

/** What a header about the next entry may hold at most: long names, extended attributes. */
const metadataLimit = 1024 * 1024;
const maxSafeBytes = Number.MAX_SAFE_INTEGER;

/**
 * The entries of a tar archive, each followed by its data. Strict: what two programs could read in two
 * ways (sparse files, sizes and names for all entries, unknown types) is refused. Reads to the end of
 * `source`, behind the archive's own end too.
 * @throws {NexcageError} `IMAGE_INVALID`
 */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarPart> {
  const bytes = new ByteReader(source);
  let shared = new Map<string, string>();
  let own: Map<string, string> | undefined;
  let longPath: string | undefined;
  let longLink: string | undefined;

  for (let isFirst = true; ; isFirst = false) {
    const block = await bytes.take(blockBytes);
    if (block === undefined) throw invalid(isFirst ? "it is not a tar archive" : "it is cut off");
    if (block.every((byte) => byte === 0)) break;
    const header = parseHeader(block);
    if (header === undefined || !isCount(header.bytes))
      throw invalid(isFirst ? "it is not a tar archive" : "a header in it is damaged");

    switch (header.typeflag) {
      case "x":
        own = await takePax(bytes, header);
        continue;
      case "g":
        shared = new Map([...shared, ...(await takePax(bytes, header))]);
        for (const key of ["path", "linkpath", "size"])
          if (shared.has(key)) throw invalid(`it gives one ${key} to all entries`);
        continue;
      case "L":
        longPath = await takeName(bytes, header);
        continue;
      case "K":
        longLink = await takeName(bytes, header);
        continue;
    }

    const entry = entryOf(
      {
        ...header,
        path: longPath ?? header.path,
        linkPath: longLink ?? header.linkPath,
      },
      new Map([...shared, ...(own ?? [])]),
    );
    own = longPath = longLink = undefined;
    yield { kind: "entry", entry };
    for (let rest = entry.bytes; rest > 0; ) {
      const data = await bytes.takeSome(rest);
      if (data === undefined) throw invalid(`it is cut off in ${showPath(entry.path)}`);
      rest -= data.length;
      yield { kind: "data", data };
    }
    if ((await bytes.take(padding(entry.bytes).length)) === undefined) throw invalid("it is cut off");
  }
  await bytes.skipAll();
}

/** A path of an archive as it may stand in a message. */
export function showPath(path: string): string {
  return JSON.stringify(Buffer.from(path, "latin1").toString());
}

export function invalid(reason: string): NexcageError {
  return new NexcageError("IMAGE_INVALID", `the image cannot be used: ${reason}`);
}

function entryOf(header: RawHeader, pax: Map<string, string>): TarEntry {
  const { typeflag, ...fields } = header;
  const path = pax.get("path") ?? fields.path;
  const said = typeOf(typeflag);
  if (typeflag === "S" || [...pax.keys()].some((key) => key.startsWith("GNU.sparse")))
    throw invalid(`${showPath(path)} is packed as a sparse file: make the tar without --sparse`);
  if (said === undefined)
    throw invalid(`${showPath(path)} is of the unknown type ${JSON.stringify(typeflag)}`);
  const type = said === "file" && path.endsWith("/") ? "directory" : said; // tar of before POSIX
  const bytes = numberOf(pax, "size") ?? fields.bytes;
  const entry: TarEntry = {
    type,
    path,
    linkPath: pax.get("linkpath") ?? fields.linkPath,
    // Only a file has data; some writers say the target's size with a hard link.
    bytes: type === "file" ? bytes : 0,
    mode: fields.mode,
    uid: numberOf(pax, "uid") ?? fields.uid,
    gid: numberOf(pax, "gid") ?? fields.gid,
    mtime: Math.max(
      0,
      Math.floor(numberOf(pax, "mtime") ?? (Number.isFinite(fields.mtime) ? fields.mtime : 0)),
    ),
    xattrs: xattrsOf(pax),
  };
  if (!isCount(entry.bytes) || !isCount(entry.uid) || !isCount(entry.gid) || Number.isNaN(entry.mode))
    throw invalid(`the header of ${showPath(path)} is damaged`);
  if (`${entry.path}${entry.linkPath}`.includes("\0"))
    throw invalid(`${showPath(path)} has a NUL in its name`);
  return entry;
}

function xattrsOf(pax: Map<string, string>): Record<string, string> {
  const prefix = "SCHILY.xattr.";
  return Object.fromEntries(
    [...pax]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, value]) => [key.slice(prefix.length), value]),
  );
}

function numberOf(pax: Map<string, string>, key: string): number | undefined {
  const value = pax.get(key);
  return value === undefined ? undefined : Number(value);
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= maxSafeBytes;
}

async function takePax(bytes: ByteReader, header: RawHeader): Promise<Map<string, string>> {
  const records = parsePax(await takeMetadata(bytes, header));
  if (records === undefined) throw invalid("an extended header in it is damaged");
  return records;
}

async function takeName(bytes: ByteReader, header: RawHeader): Promise<string> {
  const name = (await takeMetadata(bytes, header)).toString("latin1");
  return name.replace(/\0+$/, "");
}

async function takeMetadata(bytes: ByteReader, header: RawHeader): Promise<Buffer> {
  if (header.bytes > metadataLimit) throw invalid(`an extended header of ${header.bytes} bytes is in it`);
  const data = await bytes.take(header.bytes + padding(header.bytes).length);
  if (data === undefined) throw invalid("it is cut off");
  return data.subarray(0, header.bytes);
}

/** Takes exact numbers of bytes from a stream of chunks. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** Undefined when the stream ends before. */
  async take(count: number): Promise<Buffer | undefined> {
    while (this.#held.length < count) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#held = this.#held.length === 0 ? next.value : Buffer.concat([this.#held, next.value]);
    }
    return this.#give(count);
  }

  /** What is at hand, at most `limit`; undefined at the end. */
  async takeSome(limit: number): Promise<Buffer | undefined> {
    if (this.#held.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return undefined;
      this.#held = next.value;
    }
    return this.#give(Math.min(limit, this.#held.length));
  }

  async skipAll(): Promise<void> {
    while ((await this.#chunks.next()).done !== true);
  }

  #give(count: number): Buffer {
    const given = this.#held.subarray(0, count);
    this.#held = this.#held.subarray(count);
    return given;
  }
}
