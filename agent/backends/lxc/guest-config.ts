/** The current section of a guest's configuration file, and what waits for its next start. */
export type GuestConfig = {
  /** `key: value` lines, such as `memory: 512`. */
  values: ReadonlyMap<string, string>;
  /** `lxc.*` lines in their order; a key may be there several times. */
  raw: readonly { key: string; value: string }[];
  /** Decoded; "" where there is none, else it ends in a newline. */
  description: string;
  /** What `[pve:pending]` says: set at the next start. */
  pending: ReadonlyMap<string, string>;
};

/**
 * Reads `/etc/pve/lxc/VMID.conf` as pct does: what cannot be read is passed over, snapshots are left out.
 * Pure. Source: pve-container, `PVE::LXC::Config::parse_pct_config`.
 */
export function parseGuestConfig(text: string): GuestConfig {
  const values = new Map<string, string>();
  const pending = new Map<string, string>();
  const raw: { key: string; value: string }[] = [];
  const description: string[] = [];
  let section: "current" | "pending" | "other" = "current";
  for (const line of text.split("\n")) {
    const header = /^\[([a-z][a-z0-9_:-]+)\]\s*$/i.exec(line)?.[1]?.toLowerCase();
    if (header !== undefined) section = header === "pve:pending" ? "pending" : "other";
    else if (section === "other") continue;
    else if (line.startsWith("#")) {
      if (section === "current") description.push(decode(line.slice(1)));
    } else {
      const own = /^(lxc\.[a-z0-9_.]+)\s*[:=]\s*(.*?)\s*$/.exec(line);
      const said = /^([a-z][a-z_]*\d*):\s*(.*?)\s*$/.exec(line);
      if (own !== null && section === "current") raw.push({ key: own[1] ?? "", value: own[2] ?? "" });
      else if (said !== null) (section === "pending" ? pending : values).set(said[1] ?? "", said[2] ?? "");
    }
  }
  return { values, raw, description: description.map((line) => `${line}\n`).join(""), pending };
}

/** `local:101/vm-101-disk-0.raw,size=1G`: what stands first without a key is under "". Pure. */
export function parseProperties(value: string): Map<string, string> {
  return new Map(
    value.split(",").map((part): [string, string] => {
      const end = part.indexOf("=");
      return end < 0 ? ["", part] : [part.slice(0, end), part.slice(end + 1)];
    }),
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a comment written by hand may hold a %
  }
}
