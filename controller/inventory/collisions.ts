import type { YamlDocument } from "./documents.ts";
import { formatPlace, type Report } from "./mistakes.ts";
import type { Wanted } from "./model.ts";
import type { Path } from "./places.ts";
import { isFixed } from "./proxmox.ts";

type Options = { document: YamlDocument; report: Report };

/** Reports what two containers of a fleet would have, and only one can. Pure. */
export function reportCollisions(wanted: Wanted[], options: Options): void {
  reportSharedIds(wanted, options);
  reportSharedClaims(wanted, options);
}

/** `web-1` can be a replica of `web` or a container of its own, but not both: not even on two hosts. */
function reportSharedIds(wanted: Wanted[], { report }: Options): void {
  const owners = new Map<string, Wanted>();
  for (const container of wanted) {
    const owner = owners.get(container.id);
    if (owner === undefined) owners.set(container.id, container);
    else if (owner.name !== container.name)
      report(
        container.place,
        `"${container.id}" would be of both "${owner.name}" (${formatPlace(owner.place)}) and "${container.name}"`,
        "give one of them another name",
      );
  }
}

/** Something of which there is one, that a container says is its own. */
type Claim = {
  /** What it is, for messages: `the MAC address BC:24:11:00:00:01`. */
  what: string;
  /** Within which it is one: the whole fleet, or a host. */
  within: string;
  /** Where the container's YAML says it. */
  path: Path;
  /** What its replicas can do instead. */
  instead: string;
};

function claimsOf({ name, host, mode, spec }: Wanted): Claim[] {
  const { networks = [], proxmox } = spec;
  const path = ["containers", name];
  const claims: Claim[] = networks.flatMap(({ ip, ip6, mac }, index) => {
    const at = [...path, "networks", index];
    const addresses = Object.entries({ ip, ip6 }).flatMap(([word, value]): Claim[] => {
      if (!isFixed(value)) return [];
      const what = `the address ${value.replace(/\/.*/, "")}`;
      return [{ what, within: "fleet", path: [...at, word], instead: `write ${word}: dhcp` }];
    });
    if (mac === undefined) return addresses;
    const what = `the MAC address ${mac}`;
    return [
      ...addresses,
      { what, within: "fleet", path: [...at, "mac"], instead: "leave it out: Proxmox makes one" },
    ];
  });
  if (proxmox?.vmid === undefined) return claims;
  const vmid = { what: `the VMID ${proxmox.vmid}`, path: [...path, "proxmox", "vmid"] };
  const instead = 'write "vmid_range"';
  claims.push({ ...vmid, within: `host ${host}`, instead });
  // The nodes of a cluster share their VMIDs, so replicas cannot have one on two of them either.
  if (mode === "replicated") claims.push({ ...vmid, within: `container ${name}`, instead });
  return claims;
}

function reportSharedClaims(wanted: Wanted[], { document, report }: Options): void {
  const owners = new Map<string, Claim & { name: string }>();
  const reported = new Set<string>();
  for (const { name, ...container } of wanted)
    for (const claim of claimsOf({ name, ...container })) {
      const { what, within, path, instead } = claim;
      const owner = owners.get(`${what} ${within}`);
      owners.set(`${what} ${within}`, owner ?? { ...claim, name });
      const mistake = `${what} ${path.join("\0")}`;
      if (owner === undefined || reported.has(mistake)) continue;
      reported.add(mistake);
      const first = formatPlace(document.valuePlace(owner.path));
      const isReplica = owner.path.join("\0") === path.join("\0");
      if (isReplica)
        report(document.valuePlace(path), `each "${name}" would have ${what}`, `for replicas ${instead}`);
      else
        report(
          document.valuePlace(path),
          `${what} would be of both "${owner.name}" (${first}) and "${name}"`,
        );
    }
}
