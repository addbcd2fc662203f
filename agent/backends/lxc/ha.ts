import { NexcageError } from "../../../shared/errors.ts";
import type { ProxmoxOptions } from "../../../shared/spec.ts";
import type { Log } from "../../log.ts";
import { readText } from "../../state/files.ts";
import { waitUntil } from "../wait-until.ts";
import { runProgram } from "./pct.ts";

/** A guest that the HA manager knows, as `/etc/pve/ha/resources.cfg` has it. */
export type HaResource = { state: string; maxRestart?: number; maxRelocate?: number };

type Ha = NonNullable<ProxmoxOptions["ha"]>;

/** The containers that the HA manager knows, by VMID. Pure. Source: ha-manager(1). */
export function parseHaResources(text: string): Map<number, HaResource> {
  const resources = new Map<number, HaResource>();
  for (const section of text.split(/\n\s*\n/)) {
    const vmid = /^ct:\s*(\d+)/m.exec(section)?.[1];
    if (vmid === undefined) continue;
    const word = (key: string): string | undefined =>
      new RegExp(`^\\s+${key}\\s+(\\S+)`, "m").exec(section)?.[1];
    const [restart, relocate] = [word("max_restart"), word("max_relocate")];
    resources.set(Number(vmid), {
      state: word("state") ?? "started",
      ...(restart !== undefined && { maxRestart: Number(restart) }),
      ...(relocate !== undefined && { maxRelocate: Number(relocate) }),
    });
  }
  return resources;
}

export function readHaResource(vmid: number): HaResource | undefined {
  return parseHaResources(readText("/etc/pve/ha/resources.cfg") ?? "").get(vmid);
}

/** Whether it is HA that starts and stops it. */
export function isManaged(vmid: number): boolean {
  const resource = readHaResource(vmid);
  return resource !== undefined && resource.state !== "ignored";
}

/**
 * What ha-manager is told so that a guest is managed as its spec says; undefined where nothing is to be said. Pure.
 * @param isRunning a managed guest that is to run is started at once, so that one that does not yet stays stopped
 */
export function haArguments(
  vmid: number,
  wanted: Ha | undefined,
  { there, isRunning }: { there: HaResource | undefined; isRunning: boolean },
): string[] | undefined {
  const service = `ct:${vmid}`;
  if (wanted === undefined) return there === undefined ? undefined : ["remove", service];
  const state = wanted.state === "ignored" ? "ignored" : isRunning ? "started" : "stopped";
  const { maxRestart = 1, maxRelocate = 1 } = wanted;
  if (there?.state === state && there.maxRestart === maxRestart && there.maxRelocate === maxRelocate)
    return undefined;
  const properties = { state, max_restart: maxRestart, max_relocate: maxRelocate };
  const options = Object.entries(properties).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return [there === undefined ? "add" : "set", service, ...options];
}

/** The manager acts in rounds of ten seconds, and a start takes some of its own. */
const roundsMs = 60_000;

/**
 * Asks the HA manager to start or stop a guest, and waits until it has: its answer comes before anything happens.
 * @param gracePeriodMs for a stop: how long the guest may take; 0 ends it at once
 * @throws {NexcageError} `TIMED_OUT`
 */
export async function requestHa(
  vmid: number,
  wanted: "started" | "stopped",
  options: { isSo: () => boolean; gracePeriodMs?: number; log: Log },
): Promise<void> {
  const { isSo, gracePeriodMs = 0, log } = options;
  const service = `ct:${vmid}`;
  const timeoutMs = gracePeriodMs + roundsMs;
  const seconds = String(Math.ceil(gracePeriodMs / 1_000));
  await haManager(
    wanted === "started" ? ["set", service, "--state", "started"] : ["crm-command", "stop", service, seconds],
    { log },
  );
  if (await waitUntil(isSo, { timeoutMs, signal: AbortSignal.timeout(2 * timeoutMs) })) return;
  throw new NexcageError(
    "TIMED_OUT",
    `Proxmox's HA manager has not ${wanted} guest ${vmid} within ${timeoutMs / 1_000} s`,
    { hint: "see what keeps it: ha-manager status" },
  );
}

/** @throws {NexcageError} `RUNTIME_FAILED` with its own words, `BACKEND_UNAVAILABLE`, `TIMED_OUT` */
export async function haManager(args: string[], { log }: { log: Log }): Promise<void> {
  const signal = new AbortController().signal; // what has begun is finished
  const { exitCode, timedOut, stderr } = await runProgram("ha-manager", args, {
    log,
    signal,
    timeoutMs: 60_000,
  });
  if (exitCode === 0) return;
  const said = timedOut ? "did not end within 60 s" : (stderr.trim().split("\n").at(-1) ?? "");
  throw new NexcageError(
    timedOut ? "TIMED_OUT" : "RUNTIME_FAILED",
    `ha-manager ${args.slice(0, 2).join(" ")}: ${said}`,
    { hint: "ha-manager status tells how it is" },
  );
}
