import { lstatSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Hello, Observed } from "../../shared/container.ts";
import { hasCode } from "../../shared/errors.ts";
import { limits, protocolVersion } from "../../shared/protocol.ts";
import type { Paths } from "../paths.ts";
import type { Reading } from "../state/readings.ts";

/*
 * What this host last answered to who looked, beside what the answers were made of. Most sessions find a host as the
 * one before left it: native/oci/serve.c answers those from here, for a fiftieth of what it takes to start Node.
 *
 * The file is entries of `KIND LENGTH SUBJECT\nPAYLOAD\n`, LENGTH in bytes, or -1 for nothing there.
 */

/** So long nobody takes to write it. */
const draftMs = 10_000;

/** What was answered. */
export type LastLook = { hello: Hello; containers: Observed[]; readings: Reading[] };

type Entry = { kind: string; subject: string; payload: string | undefined };

/** With one of these folders are elsewhere than native/oci/serve.c looks for them. */
const moving = ["NEXCAGE_LIB_DIR", "NEXCAGE_LOG_DIR", "NEXCAGE_LOCK_DIR"];

/**
 * Keeps it, where it may be found again. That it cannot be kept is no failure: Node answers the next time too.
 * @param options.library the folder of this program
 */
export function keepLastLook(
  look: LastLook,
  options: { paths: Paths; library: string; environment: NodeJS.ProcessEnv },
): void {
  const { paths, library, environment } = options;
  if (moving.some((name) => environment[name] !== undefined)) return;
  const { run, lib, lock } = paths;
  const text = lastLookText(look, { agent: [library, run, lib, lock].join(":") });
  if (Buffer.byteLength(text) > limits.frameBytes) return;
  const draft = `${paths.lastLook}.new`;
  try {
    writeFileSync(draft, text, { mode: 0o600, flag: "wx" });
    renameSync(draft, paths.lastLook);
  } catch (error) {
    if (!hasCode(error, "EEXIST") || isLeft(draft)) rmSync(draft, { force: true });
  }
}

/** Whether who wrote it is gone; another agent that looks just now keeps the same. */
function isLeft(draft: string): boolean {
  const { mtimeMs = 0 } = lstatSync(draft, { throwIfNoEntry: false }) ?? {};
  return Date.now() - mtimeMs > draftMs;
}

/** Pure. @param options.agent which one's answers they are: where it is, and its folders */
export function lastLookText(
  { hello, containers, readings }: LastLook,
  { agent }: { agent: string },
): string {
  const entries: Entry[] = [
    { kind: "agent", subject: agent, payload: undefined },
    { kind: "system", subject: hello.hostname, payload: hello.kernel },
    ...readings.map(({ kind, subject, result }) => ({ kind, subject, payload: result })),
    { kind: "hello", subject: protocolVersion, payload: JSON.stringify(hello) },
    { kind: "list", subject: "", payload: JSON.stringify({ containers }) },
  ];
  return entries.map(entryText).join("");
}

function entryText({ kind, subject, payload }: Entry): string {
  const length = payload === undefined ? -1 : Buffer.byteLength(payload);
  return `${kind} ${length} ${subject}\n${payload ?? ""}\n`;
}
