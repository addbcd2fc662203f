import { NexcageError } from "../../../shared/errors.ts";
import { type Guest, readGuest } from "./guests.ts";
import { keyOfVolume } from "./mount-points.ts";

type Run = (words: [string, number, ...string[]]) => Promise<unknown>;

/**
 * Hands the volumes of a stopped guest to the one that replaces it, under the keys that they have. The storage
 * renames them; their files are not copied.
 * @param keys `mpN` and `unusedN`
 * @returns the volumes as they are called now, by key
 */
export async function carryVolumes(
  from: number,
  to: number,
  { keys, run }: { keys: Iterable<string>; run: Run },
): Promise<Record<string, string>> {
  const carried: Record<string, string> = {};
  for (const key of keys) {
    await run(["move-volume", from, key, "--target-vmid", String(to), "--target-volume", key]);
    carried[key] = requireVolume(to, key);
  }
  return carried;
}

/**
 * Takes back what `made` has got from the guest that it was to replace. Done twice it does the same.
 * @throws {NexcageError} `RUNTIME_FAILED` when a volume is at neither: then nothing is removed
 */
export async function takeVolumesBack(made: Guest, aside: Guest, { run }: { run: Run }): Promise<void> {
  for (const [key, options] of Object.entries(aside.mark?.kept ?? {})) {
    if (aside.config.values.has(key)) continue;
    const carried = made.mark?.carried?.[key];
    const there = carried === undefined ? key : keyOfVolume(made.config, carried);
    if (there === undefined || !made.config.values.has(there)) throw lost(key, made, aside);
    const isDirect = there.startsWith("mp") || key.startsWith("unused");
    const target = isDirect ? key : freeUnused(aside);
    await run([
      "move-volume",
      made.vmid,
      there,
      "--target-vmid",
      String(aside.vmid),
      "--target-volume",
      target,
    ]);
    if (key.startsWith("mp"))
      await run(["set", aside.vmid, `--${key}`, `${requireVolume(aside.vmid, target)},${options}`]);
  }
}

function freeUnused({ vmid }: Guest): string {
  const { values } = readGuest(vmid)?.config ?? { values: new Map() };
  for (let number = 0; ; number++) if (!values.has(`unused${number}`)) return `unused${number}`;
}

/** pct's exit code proves little: the configuration tells. */
function requireVolume(vmid: number, key: string): string {
  const volume = readGuest(vmid)?.config.values.get(key)?.split(",")[0];
  if (volume !== undefined) return volume;
  throw new NexcageError("RUNTIME_FAILED", `pct move-volume: guest ${vmid} has not got ${key}`);
}

function lost(key: string, made: Guest, aside: Guest): NexcageError {
  return new NexcageError(
    "RUNTIME_FAILED",
    `the volume ${key} of guest ${aside.vmid} is neither there nor at ${made.vmid}, which was to replace it: nothing is removed`,
    {
      hint: `find it with pct rescan --vmid ${made.vmid}, hand it back with pct move-volume ${made.vmid} unused0 --target-vmid ${aside.vmid} --target-volume unused0, set it as ${key}, then apply again`,
    },
  );
}
