import type { ContainerSpec } from "../../../shared/spec.ts";
import { type GuestConfig, parseProperties } from "./guest-config.ts";
import { optionsOf, required } from "./options.ts";

type Observed = Pick<GuestConfig, "values" | "pending">;

/** Options of one value each, whose order means something. */
const isPlain = (option: string): boolean => !/^(net|dev)\d+$|^(features|startup)$/.test(option);

/** What of an interface is ours; what else a person has said of one, or pct of an image's, is kept. */
const ofInterfaces: ReadonlySet<string> = new Set(
  "name bridge hwaddr ip gw ip6 gw6 tag mtu firewall".split(" "),
);

/**
 * What pct has to be told so that a guest's options are those of its spec. What the spec does not say, and the
 * one before did not say either, is left as it is. Pure.
 * @param macs by interface name, of those that the guest has
 */
export function optionChanges(
  spec: ContainerSpec,
  {
    config,
    before,
    macs,
  }: { config: Observed; before?: ContainerSpec | undefined; macs: ReadonlyMap<string, string> },
): { set: Map<string, string>; remove: string[] } {
  const wanted = optionsOf(spec, { macs });
  const leaving = leavingKeys(config);
  const found = new Map([...config.values, ...config.pending]);
  const set = new Map<string, string>();
  for (const [option, value] of wanted) {
    const now = found.get(option);
    if (now !== undefined && !leaving.has(option) && isSame(option, now, value)) continue;
    set.set(option, withOthers(option, now, value));
  }
  const remove: string[] = [];
  const said = before === undefined ? [] : [...optionsOf(before).keys()];
  const numbered = [...found.keys()].filter(
    (option) =>
      (spec.networks !== undefined && /^net\d+$/.test(option)) ||
      (spec.devices !== undefined && /^dev\d+$/.test(option)),
  );
  for (const option of new Set([...said, ...numbered])) {
    if (wanted.has(option) || leaving.has(option) || !found.has(option)) continue;
    const value = required[option];
    if (value === undefined) remove.push(option);
    else set.set(option, value);
  }
  return { set, remove };
}

/** What goes with the next start: pct writes it down as `delete: key,key`. */
function leavingKeys({ pending }: Observed): Set<string> {
  const keys = (pending.get("delete") ?? "").split(/[,; ]+/).map((key) => key.replace(/^!/, ""));
  return new Set(keys.filter((key) => !pending.has(key)));
}

function isSame(option: string, now: string, wanted: string): boolean {
  if (isPlain(option)) return now === wanted;
  const [found, said] = [now, wanted].map((value) => new Map([...parseProperties(value)].map(normal)));
  const keys = new Set([...(found?.keys() ?? []), ...(said?.keys() ?? [])]);
  return [...keys].every(
    (key) => (isForeign(option, key) && said?.has(key) !== true) || found?.get(key) === said?.get(key),
  );
}

/** `path=/dev/x` and `/dev/x` are one; a flag that is off is as good as none; MACs are kept as they were given. */
function normal([key, value]: [string, string]): [string, string | undefined] {
  if (key === "hwaddr") return [key, value.toUpperCase()];
  if (key === "path") return ["", value];
  return [key, value === "0" ? undefined : value];
}

function isForeign(option: string, key: string): boolean {
  return option.startsWith("net") && !ofInterfaces.has(key);
}

function withOthers(option: string, now: string | undefined, wanted: string): string {
  const said = parseProperties(wanted);
  const others =
    now === undefined
      ? []
      : [...parseProperties(now)].filter(
          ([key]) => isForeign(option, key) && key !== "type" && !said.has(key),
        );
  return [wanted, ...others.map(([key, value]) => `${key}=${value}`)].join(",");
}
