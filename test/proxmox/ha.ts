// Which guests the HA manager runs: sections `ct: 100` of /etc/pve/ha/resources.cfg.
import { spawn } from "node:child_process";
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

/** Writes what a managed guest should be; the node's LRM brings it about, in its next round. `0`: a hard stop. */
export function requestState(vmid: string, state: "started" | "stopped", timeoutS = "60"): void {
  const resources = readResources();
  resources.find((resource) => resource.vmid === vmid)?.properties.set("state", state);
  writeResources(resources);
  awakenLrm(vmid, timeoutS);
}

/** In place of the LRM, which acts in rounds of ten seconds; it calls pct's code with this variable set. */
export function awakenLrm(vmid: string, timeoutS = "60"): void {
  const script = `sleep 1; PVE_HA_LRM=1 exec pct-hook lrm ${vmid} ${timeoutS}`;
  spawn("sh", ["-c", script], { detached: true, stdio: "ignore", cwd: "/" }).unref();
}

/** What the LRM has to do for a guest to be as it should; undefined where it is. */
export function dutyOf(vmid: string, { running, timeoutS }: { running: boolean; timeoutS: string }) {
  const state = readResources()
    .find((resource) => resource.vmid === vmid)
    ?.properties.get("state");
  if (state === "started" && !running) return ["start", vmid];
  if ((state !== "stopped" && state !== "disabled") || !running) return undefined;
  return timeoutS === "0" ? ["stop", vmid] : ["shutdown", vmid, "--timeout", timeoutS, "--forceStop", "1"];
}

/** A managed guest is started and stopped by asking the manager, unless the LRM itself asks. */
export function asksManager(vmid: string): boolean {
  return process.env.PVE_HA_LRM === undefined && isManaged(vmid);
}
