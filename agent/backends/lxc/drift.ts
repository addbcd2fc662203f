import type { SpecField } from "../../../shared/costs.ts";
import type { Drift } from "../../../shared/drift.ts";
import { asNexcageError } from "../../../shared/errors.ts";
import { fieldOfRawKey, rawLinesOf } from "../../../shared/raw-lines.ts";
import { type ContainerSpec, Mount, Network } from "../../../shared/spec.ts";
import { changesOf } from "./changes-of.ts";
import { fieldsOf } from "./guest-spec.ts";
import { type Guest, macsOf } from "./guests.ts";
import { fieldOfOption } from "./options.ts";
import { lineName } from "./raw-lines.ts";

/**
 * The fields of a guest's spec that its configuration does not say any more: those that an update would tell pct.
 * What waits for its next start counts as if it were so. Pure.
 */
export function driftOf(spec: ContainerSpec, guest: Guest): Drift[] {
  const fields = new Set([...optionFields(spec, guest), ...rawFields(spec, guest)]);
  if (fields.size === 0) return [];
  const values = new Map([...guest.config.values, ...guest.config.pending]);
  for (const key of (guest.config.pending.get("delete") ?? "").split(","))
    values.delete(key.replace(/^!/, ""));
  const seen = fieldsOf(spec.id, { ...guest, config: { ...guest.config, values }, ha: undefined });
  return [...fields]
    .sort()
    .map((field) => ({ field, observed: observedField(field, seen, { spec, guest }) }));
}

function optionFields(spec: ContainerSpec, guest: Guest): SpecField[] {
  try {
    const { set, remove, grow } = changesOf(spec, guest, { before: undefined });
    const keys = [...set.keys(), ...remove, ...grow.map(({ key }) => key)];
    return keys.flatMap((key) => (key === "rootfs" ? "proxmox.rootfsBytes" : (fieldOfOption(key) ?? [])));
  } catch (error) {
    if (asNexcageError(error).code !== "SPEC_REFUSED") throw error;
    return ["mounts"]; // a volume was detached by hand: the update tells what to do
  }
}

function rawFields(spec: ContainerSpec, { config }: Guest): SpecField[] {
  const wanted = Map.groupBy(rawLinesOf(spec), lineName);
  return [...wanted].flatMap(([name, lines]) => {
    const found = config.raw.filter((line) => lineName(line) === name).map(({ value }) => value);
    const isSame = found.length === lines.length && lines.every(({ value }, index) => found[index] === value);
    return isSame ? [] : lines.slice(0, 1).flatMap(({ key }) => fieldOfRawKey(key) ?? []);
  });
}

/** What a field is, in so far as the spec says something of it. */
function observedField(
  field: SpecField,
  seen: object,
  { spec, guest }: { spec: ContainerSpec; guest: Guest },
): unknown {
  const value = field
    .split(".")
    .reduce<unknown>((at, word) => Object.entries(at ?? {}).find(([key]) => key === word)?.[1], seen);
  if (field === "networks")
    return (
      Network.array()
        .safeParse(value)
        .data?.map((one) => withMac(one, spec, guest)) ?? value
    );
  if (field === "mounts")
    return (
      Mount.array()
        .safeParse(value)
        .data?.flatMap((one) => mountOf(one, spec)) ?? value
    );
  return value;
}

function withMac(network: Network, { networks = [] }: ContainerSpec, guest: Guest): Network {
  const isSaid = networks.some(({ name, mac }) => name === network.name && mac !== undefined);
  const mac = isSaid ? macsOf(guest).get(network.name)?.toUpperCase() : undefined;
  return mac === undefined ? network : { ...network, mac };
}

/** What a person has mounted besides is theirs; a storage that is not said, and a volume that is larger, are as wanted. */
function mountOf(mount: Mount, { mounts = [] }: ContainerSpec): Mount[] {
  const wanted = mounts.find((one) =>
    mount.type === "volume" && one.type === "volume" ? one.name === mount.name : one.target === mount.target,
  );
  if (wanted === undefined) return [];
  if (mount.type !== "volume" || wanted.type !== "volume") return [mount];
  const { storage, sizeBytes, ...rest } = mount;
  const isSaid = wanted.storage !== undefined;
  return [{ ...rest, sizeBytes: Math.min(sizeBytes, wanted.sizeBytes), ...(isSaid && { storage }) }];
}
