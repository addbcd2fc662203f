import { constants } from "node:os";
import { NexcageError } from "../shared/errors.ts";
import { quoteForMessage } from "../shared/ids.ts";

/** Of glibc and musl. */
const firstRealTime = 34;
const lastRealTime = 64;

/** A signal as kill(2) takes it: Node knows no names of real-time signals, as `SIGRTMIN+3`. Pure. */
export function signalNumber(name: string): number {
  const known = Object.entries(constants.signals).find(([one]) => one === name)?.[1];
  return known ?? firstRealTime + Number(/^SIGRTMIN\+(\d+)$/.exec(name)?.[1] ?? Number.NaN);
}

/**
 * A signal as users write it, `TERM`, `sigterm`, `15`, `RTMIN+3`, by its name, or its number where it has none.
 * @throws {NexcageError} `USAGE`
 */
export function parseSignal(text: string): string {
  const byName = `SIG${text.toUpperCase().replace(/^SIG/, "")}`;
  if (Object.hasOwn(constants.signals, byName)) return byName;
  const realTime = /^SIGRTMIN(?:\+(\d{1,2}))?$/.exec(byName);
  if (realTime !== null && firstRealTime + Number(realTime[1] ?? 0) <= lastRealTime)
    return `SIGRTMIN+${realTime[1] ?? 0}`;
  const number = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  const [name] = Object.entries(constants.signals).find(([, value]) => value === number) ?? [];
  if (name !== undefined) return name;
  if (number >= firstRealTime && number <= lastRealTime) return `SIGRTMIN+${number - firstRealTime}`;
  throw new NexcageError("USAGE", `${quoteForMessage(text)} is not a signal`, {
    hint: "a name such as SIGTERM or HUP, or a number from 1 to 64",
  });
}
