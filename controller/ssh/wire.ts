/*
 * Strings as SSH writes them everywhere (RFC 4251, section 5): four bytes of length, then as many bytes.
 */

/** @throws {RangeError} where the buffer ends before the string does */
export function readString(buffer: Buffer, offset: number): { value: Buffer; end: number } {
  const start = offset + 4;
  const end = start + buffer.readUInt32BE(offset);
  if (end > buffer.length)
    throw new RangeError(`a string of an SSH message ends at ${end} of ${buffer.length}`);
  return { value: buffer.subarray(start, end), end };
}

export function writeString(value: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(value.length);
  return Buffer.concat([length, value]);
}
