// ha-manager: which guests are managed, and what they should be.
import { Failure } from "./failure.ts";
import { awakenLrm, dutyOf, type HaResource, readResources, requestState, writeResources } from "./ha.ts";
import { isRunning } from "./lxc.ts";
import { node } from "./paths.ts";

export async function haManager([command = "", ...words]: readonly string[]): Promise<number> {
  const [first = ""] = words;
  const vmid = first.replace(/^ct:/, "");
  switch (command) {
    case "status":
      printStatus();
      return 0;
    case "config":
      for (const resource of readResources()) process.stdout.write(`${printResource(resource)}\n`);
      return 0;
    case "add":
    case "set":
      change(vmid, words.slice(1), command);
      return 0;
    case "remove":
      writeResources(readResources().filter((resource) => resource.vmid !== vmid));
      return 0;
    case "crm-command":
      if (words[0] === "stop") requestState((words[1] ?? "").replace(/^ct:/, ""), "stopped", words[2]);
      return 0;
    default:
      throw new Failure(
        `ERROR: unknown command 'ha-manager ${command}'\nUSAGE: ha-manager <COMMAND> [ARGS] [OPTIONS]`,
      );
  }
}

function printStatus(): void {
  const services = readResources().map(
    ({ vmid }) => `service ct:${vmid} (${node}, ${isRunning(vmid) ? "started" : "stopped"})\n`,
  );
  const now = new Date().toString().slice(0, 24);
  process.stdout.write(
    ["quorum OK\n", `master ${node} (active, ${now})\n`, `lrm ${node} (active, ${now})\n`, ...services].join(
      "",
    ),
  );
}

function printResource({ vmid, properties }: HaResource): string {
  return [`ct:${vmid}\n`, ...[...properties].map(([key, value]) => `\t${key} ${value}\n`)].join("");
}

function change(vmid: string, words: readonly string[], command: "add" | "set"): void {
  const resources = readResources();
  const found = resources.find((resource) => resource.vmid === vmid);
  if (command === "add" && found !== undefined) throw new Failure(`resource ID 'ct:${vmid}' already defined`);
  if (command === "set" && found === undefined) throw new Failure(`no such resource 'ct:${vmid}'`);
  const resource = found ?? { vmid, properties: new Map([["state", "started"]]) };
  for (let index = 0; index < words.length; index += 2)
    resource.properties.set((words[index] ?? "").replace(/^--?/, ""), words[index + 1] ?? "");
  writeResources(found === undefined ? [...resources, resource] : resources);
  if (dutyOf(vmid, { running: isRunning(vmid), timeoutS: "60" }) !== undefined) awakenLrm(vmid);
}
