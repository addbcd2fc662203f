/*
 * What has been read of the host, noted while it is read. Where all of it would read the same again, what was made of it
 * is still true: native/oci/last-look.c reads it again, and starts no Node for an answer that is known.
 */

/**
 * What was read: a `text`, the `names` in a folder, whether there is such a `path`, what a `process` is, the ends of a text's
 * `lines` from some words on, or whether a file has `room` below a limit. The result is undefined where there was none.
 */
export type Reading = {
  kind: "text" | "names" | "path" | "process" | "lines" | "room";
  subject: string;
  result: string | undefined;
};

let noted: Map<string, Reading> | undefined;

/** Begins to note, with nothing noted yet. */
export function noteReadings(): void {
  noted = new Map();
}

/** Whether all that was read since can be read again. */
export function isNoting(): boolean {
  return noted !== undefined;
}

/** Ends it. Undefined where what was read cannot be read again alike, or nobody has noted. */
export function takeReadings(): Reading[] | undefined {
  const taken = noted;
  noted = undefined;
  return taken && [...taken.values()];
}

/** Called by all who read what may change while this program is there. */
export function noteReading(kind: Reading["kind"], subject: string, result: string | undefined): void {
  if (noted === undefined) return;
  const key = `${kind} ${subject}`;
  const before = noted.get(key);
  // One that has changed while we looked was seen in two ways.
  if ((before !== undefined && before.result !== result) || /[\n\0]/.test(subject)) noted = undefined;
  else noted.set(key, { kind, subject, result });
}

/** For what is told by other readings, which `read` leaves to who calls it. */
export function unnoted<T>(read: () => T): T {
  const before = noted;
  noted = undefined;
  try {
    return read();
  } finally {
    noted = before;
  }
}

/** What has been made of what was read depends on more than that. */
export function noteUnrepeatable(): void {
  noted = undefined;
}
