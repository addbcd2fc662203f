import type { Described, DescribedSpec } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import { compareTemplates } from "../../shared/templates.ts";
import type { Wanted } from "../inventory/model.ts";

/** A guest as the fleet is to have it. */
export type Entry = {
  name: string;
  vmid: number;
  spec: DescribedSpec;
  template: string;
  /** What no word can say, as Proxmox's configuration has it. */
  unsaid: string[];
};

/**
 * The guests that the fleet does not name yet, each with a name that is free and a template. Pure.
 * @throws {NexcageError} `REFUSED` with all that cannot be held as it is, or belongs to another fleet
 */
export function entriesFor(
  { guests, templates }: { guests: readonly Described[]; templates: readonly string[] },
  { host, wanted, template }: { host: string; wanted: readonly Wanted[]; template: string | undefined },
): Entry[] {
  const names = new Set(wanted.map(({ name }) => name));
  const problems: string[] = [];
  const hints = new Set<string>();
  const entries: Entry[] = [];
  for (const guest of guests) {
    const { vmid, spec, owner, ostype } = guest;
    if (wantedAs(vmid, { host, wanted }) !== undefined) continue;
    const refuse = (reason: string, hint: string): void => {
      problems.push(`${vmid}@${host} cannot be adopted: ${reason}`);
      hints.add(hint);
    };
    if (owner !== undefined) {
      refuse(`it is ${owner.id} of fleet ${owner.fleet ?? "(none)"}`, "a guest has one fleet");
      continue;
    }
    for (const problem of guest.problems)
      refuse(problem, "change that in Proxmox first, or leave the guest as it is");
    const from = template ?? newestOf(ostype, templates);
    if (from === undefined)
      refuse(
        `no template there is called ${ostype ?? "unmanaged"}-…`,
        `name what a new one would be made from: --template ${templates[0] ?? "local:vztmpl/FILE"}`,
      );
    if (spec === undefined || from === undefined) continue;
    const name = names.has(spec.id) ? `${spec.id}-${vmid}` : spec.id;
    names.add(name);
    // Under another name its hostname does not follow from that.
    const named = name === spec.id ? spec : { ...spec, hostname: spec.hostname ?? spec.id };
    entries.push({ name, vmid, spec: named, template: from, unsaid: guest.unsaid });
  }
  if (problems.length > 0)
    throw new NexcageError("REFUSED", problems.join("\n"), { hint: [...hints].join("; ") });
  return entries;
}

/** The container that the fleet's files have a guest as; undefined where they have none. Pure. */
export function wantedAs(
  vmid: number,
  { host, wanted }: { host: string; wanted: readonly Wanted[] },
): Wanted | undefined {
  return wanted.find((one) => one.host === host && one.spec.proxmox?.vmid === vmid);
}

/** Proxmox does not keep what a guest was made from: the last by name of its system's templates is taken. */
function newestOf(ostype: string | undefined, templates: readonly string[]): string | undefined {
  return templates
    .filter((volume) => volume.split(":vztmpl/")[1]?.startsWith(`${ostype}-`))
    .sort(compareTemplates)
    .at(-1);
}
