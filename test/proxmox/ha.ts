// Which guests the HA manager runs: sections `ct: 100` of /etc/pve/ha/resources.cfg.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { pve } from "./paths.ts";

export type HaResource = { vmid: string; properties: Map<string, string> };

const file = `${pve}/ha/resources.cfg`;

export function readResources(): HaResource[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split(/\n\s*\n/)
    .flatMap((section): HaResource[] => {
      const [head = "", ...lines] = section.split("\n").filter(Boolean);
      const [, vmid] = /^ct:\s*(\d+)/.exec(head) ?? [];
      if (vmid === undefined) return [];
      const words = lines.map((line) => line.trim().split(/\s+/, 2));
      return [{ vmid, properties: new Map(words.map(([key = "", value = ""]) => [key, value])) }];
    });
}

export function writeResources(resources: HaResource[]): void {
  const sections = resources.map(({ vmid, properties }) =>
    [`ct: ${vmid}\n`, ...[...properties].map(([key, value]) => `\t${key} ${value}\n`), "\n"].join(""),
  );
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, sections.join(""));
}

/** Any state but `ignored` counts, `disabled` too. */
export function isManaged(vmid: string): boolean {
  const resource = readResources().find((candidate) => candidate.vmid === vmid);
  return resource !== undefined && resource.properties.get("state") !== "ignored";
}

export function removeManaged(vmid: string): void {
  const resources = readResources();
  const others = resources.filter((resource) => resource.vmid !== vmid);
  if (others.length < resources.length) writeResources(others);
}
