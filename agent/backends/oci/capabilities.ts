import { capabilities } from "../../../shared/capabilities.ts";
import { NexcageError } from "../../../shared/errors.ts";

export type Capability = (typeof capabilities)[number];

/** What a container has that asks for nothing else: podman's default. */
const defaults: readonly Capability[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_NET_BIND_SERVICE",
  "CAP_SETFCAP",
  "CAP_SETGID",
  "CAP_SETPCAP",
  "CAP_SETUID",
  "CAP_SYS_CHROOT",
];

/**
 * The capabilities of a container, sorted by number: the usual ones with `capAdd`, without `capDrop`.
 * `ALL` stands for each that there is; a name beside it in the other list is then the exception.
 * `available` are those that this host can give. Pure.
 * @throws {NexcageError} `SPEC_REFUSED` for an unknown name, and one that this host cannot give
 */
export function containerCapabilities(
  { capAdd = [], capDrop = [] }: { capAdd?: string[] | undefined; capDrop?: string[] | undefined },
  available: readonly Capability[],
): Capability[] {
  const added = namesIn(capAdd, "cap_add");
  const dropped = namesIn(capDrop, "cap_drop");
  for (const name of added) {
    if (dropped.has(name)) throw refused(`cap_add and cap_drop both say ${name}`);
    if (name !== "ALL" && !available.includes(name))
      throw refused(`cap_add: this host cannot give ${name}`, "the agent itself runs without it there");
  }
  const wanted = (name: Capability): boolean => {
    if (dropped.has(name)) return false;
    if (added.has(name) || added.has("ALL")) return true;
    return !dropped.has("ALL") && defaults.includes(name);
  };
  return available.filter(wanted);
}

/** Those in a mask of /proc/PID/status, such as `CapBnd`. Pure. */
export function capabilitiesOfMask(hex: string): Capability[] {
  const mask = BigInt(`0x${hex}`);
  return capabilities.filter((_name, bit) => (mask >> BigInt(bit)) & 1n);
}

/** `NET_ADMIN`, `net_admin` and `CAP_NET_ADMIN` are the same. */
function namesIn(names: string[], field: string): Set<Capability | "ALL"> {
  return new Set(
    names.map((name) => {
      const full = name.toUpperCase().replace(/^(?:CAP_)?/, "CAP_");
      if (full === "CAP_ALL") return "ALL";
      const known = capabilities.find((capability) => capability === full);
      if (known === undefined) throw refused(`${field}: ${JSON.stringify(name)} is not a capability`);
      return known;
    }),
  );
}

function refused(message: string, hint = "capabilities(7) has their names"): NexcageError {
  return new NexcageError("SPEC_REFUSED", message, { hint });
}
