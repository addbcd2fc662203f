/**
 * The tar format (POSIX.1-2001 pax, with what GNU tar adds to read), one header at a time. Pure. Names
 * are not always UTF-8, so all text in here is `latin1`: one character for each byte of the archive.
 */

export const blockBytes = 512;

export type TarType = "file" | "link" | "symlink" | "character" | "block" | "directory" | "fifo";

export type TarEntry = {
  type: TarType;
  path: string;
  /** Where a `symlink` points, or which earlier entry a `link` is the same file as. */
  linkPath: string;
  /** Of the data that follows; only a file has any. */
  bytes: number;
  mode: number;
  uid: number;
  gid: number;
  /** Whole seconds since 1970. */
  mtime: number;
  xattrs: Record<string, string>;
};

/** Typeflags of entries; the rest are headers about the next entry, or not for us. */
const typeflags: Record<TarType, string> = {
  file: "0",
  link: "1",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** A header as it stands in its block, before what pax and GNU headers said about it. */
export type RawHeader = Omit<TarEntry, "type" | "xattrs"> & { typeflag: string };

/** The header in a block; undefined when its checksum says that it is none. */
export function parseHeader(block: Buffer): RawHeader | undefined {
  if (number(block, 148, 8) !== checksum(block)) return undefined;
  const name = text(block, 0, 100);
  // GNU's own magic is "ustar  ", and puts other things where POSIX has the prefix.
  const prefix = block.toString("latin1", 257, 263) === "ustar\0" ? text(block, 345, 155) : "";
  return {
    typeflag: block.toString("latin1", 156, 157),
    path: prefix === "" ? name : `${prefix}/${name}`,
    linkPath: text(block, 157, 100),
    bytes: number(block, 124, 12),
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    mtime: number(block, 136, 12),
  };
}

/** The type that a typeflag means; undefined for headers about other entries and what we do not know. */
export function typeOf(typeflag: string): TarType | undefined {
  if (typeflag === "\0" || typeflag === "7") return "file"; // of before POSIX; "contiguous"
  for (const [type, flag] of Object.entries(typeflags)) if (flag === typeflag) return type as TarType; // its own key
  return undefined;
}

/** The records of a pax header; undefined when they are malformed. */
export function parsePax(data: Buffer): Map<string, string> | undefined {
  const records = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const [, digits = ""] = /^([1-9]\d{0,8}) /.exec(data.toString("latin1", at, at + 10)) ?? [];
    const end = at + Number(digits);
    const record = data.toString("latin1", at + digits.length + 1, end - 1);
    const equals = record.indexOf("=");
    if (digits === "" || end > data.length || data[end - 1] !== 0x0a || equals < 1) return undefined;
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at = end;
  }
  return records;
}

/** The blocks that stand before an entry's data: its header, and a pax header for what that cannot hold. */
export function encodeHeader(entry: TarEntry): Buffer {
  const pax: [string, string][] = Object.entries(entry.xattrs).map(([name, value]) => [
    `SCHILY.xattr.${name}`,
    value,
  ]);
  if (entry.path.length > 100) pax.push(["path", entry.path]);
  if (entry.linkPath.length > 100) pax.push(["linkpath", entry.linkPath]);
  if (entry.bytes >= 8 ** 11) pax.push(["size", String(entry.bytes)]);
  if (entry.uid >= 8 ** 7) pax.push(["uid", String(entry.uid)]);
  if (entry.gid >= 8 ** 7) pax.push(["gid", String(entry.gid)]);
  const header = encodeBlock(typeflags[entry.type], entry);
  if (pax.length === 0) return header;

  const records = Buffer.from(pax.map(([key, value]) => paxRecord(key, value)).join(""), "latin1");
  const about = { ...entry, path: "PaxHeader", linkPath: "", bytes: records.length, mode: 0o644 };
  return Buffer.concat([encodeBlock("x", about), records, padding(records.length), header]);
}

/** What fills the last block of so many bytes. */
export function padding(bytes: number): Buffer {
  return Buffer.alloc((blockBytes - (bytes % blockBytes)) % blockBytes);
}

/** The end of an archive. */
export const endOfArchive = Buffer.alloc(2 * blockBytes);

function encodeBlock(typeflag: string, entry: Omit<TarEntry, "type" | "xattrs">): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(entry.path.slice(0, 100), 0, "latin1");
  writeOctal(block, entry.mode, 100, 8);
  writeOctal(block, entry.uid, 108, 8);
  writeOctal(block, entry.gid, 116, 8);
  writeOctal(block, entry.bytes, 124, 12);
  writeOctal(block, entry.mtime, 136, 12);
  block.write(typeflag, 156, "latin1");
  block.write(entry.linkPath.slice(0, 100), 157, "latin1");
  block.write("ustar\0" + "00", 257, "latin1");
  writeOctal(block, checksum(block), 148, 7);
  block.write(" ", 155, "latin1");
  return block;
}

/** Zero where it does not fit: a pax record then says it. */
function writeOctal(block: Buffer, value: number, at: number, length: number): void {
  const digits = value.toString(8).padStart(length - 1, "0");
  block.write(digits.length < length ? digits : "0".repeat(length - 1), at, "latin1");
}

/** Its length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (`${length}${rest}`.length !== length) length = `${length}${rest}`.length;
  return `${length}${rest}`;
}

/** The sum of all bytes, with its own field as blanks. */
function checksum(block: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < blockBytes; at += 1) if (at < 148 || at >= 156) sum += block[at] ?? 0;
  return sum;
}

function text(block: Buffer, at: number, length: number): string {
  const field = block.toString("latin1", at, at + length);
  const end = field.indexOf("\0");
  return end === -1 ? field : field.slice(0, end);
}

/** Octal text, or GNU's base 256 where the first bit is set; NaN when it is neither. */
function number(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if (first === 0x80) return Number(`0x${block.toString("hex", at + 1, at + length)}`);
  const digits = text(block, at, length).trim();
  return digits === "" ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

export type Compression = "gzip" | "zstd" | "xz" | "bzip2";

/** What a file is compressed with, by its first six bytes; undefined for a plain one, and what is not known. */
export function compressionOf(beginning: Buffer): Compression | undefined {
  const magic = beginning.toString("hex", 0, 6);
  if (magic.startsWith("1f8b")) return "gzip";
  if (/^(?:28b52ffd|5.2a4d18)/.test(magic)) return "zstd"; // a frame, or a skippable one
  if (magic.startsWith("fd377a585a")) return "xz";
  if (magic.startsWith("425a68")) return "bzip2";
  return undefined;
}
