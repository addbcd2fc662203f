import { Document, isMap, parseAllDocuments } from "yaml";
import { NexcageError } from "../../shared/errors.ts";
import type { Met } from "./meet.ts";

const layout = { lineWidth: 0, flowCollectionPadding: false } as const;

/** A host under the name that the inventory gives it. */
export type NamedHost = { name: string; met: Met };

/**
 * Gives each host a name: its own, made unique, in the words of an inventory. Pure.
 * @param taken names that are in the inventory already
 */
export function nameHosts(met: Met[], taken: ReadonlySet<string> = new Set()): NamedHost[] {
  const names = new Set(taken);
  return met.map((one) => {
    const own = one.look.hostname
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, "-")
      .replace(/^-+|-+$/g, "");
    const base = own === "" || own === "localhost" ? "host" : own;
    let name = base;
    for (let number = 2; names.has(name); number += 1) name = `${base}-${number}`;
    names.add(name);
    return { name, met: one };
  });
}

/** `inventory.yaml` with these hosts. Pure. */
export function inventoryFileText(
  hosts: NamedHost[],
  { identity }: { identity: string | undefined },
): string {
  const users = new Set(hosts.map(({ met }) => met.user));
  const [user] = users.size === 1 ? users : [];
  const document = new Document({
    apiVersion: "nexcage/v1",
    kind: "Inventory",
    defaults: {
      ssh: {
        ...(user !== undefined && { user }),
        ...(identity !== undefined && { identity_file: identity }),
      },
      ...(user !== undefined && user !== "root" && { become: "sudo" }),
    },
    hosts: {},
  });
  document.commentBefore =
    " The hosts. All words: nexcage schema inventory. Where a value comes from: nexcage inventory explain HOST.";
  addHosts(document, hosts, { user });
  return document.toString(layout);
}

/**
 * An inventory's file with these hosts at the end of those that it has; comments stay. Pure.
 * @throws {NexcageError} `USAGE` where there is no inventory in it
 */
export function withHosts(text: string, hosts: NamedHost[], { file }: { file: string }): string {
  const parsed = parseAllDocuments(text);
  const documents = Array.isArray(parsed) ? parsed : [];
  const [mistake] = documents.flatMap(({ errors }) => errors);
  if (mistake !== undefined)
    throw new NexcageError("INVALID_FILE", `${file}: ${mistake.message.split("\n")[0]}`, {
      hint: "nexcage inventory check tells all that is wrong in it",
    });
  const inventory = documents.find(
    (document) => isMap(document.contents) && document.get("kind") === "Inventory",
  );
  if (inventory === undefined)
    throw new NexcageError("USAGE", `there is no inventory in ${file}`, {
      hint: "name the file with kind: Inventory",
    });
  if (!isMap(inventory.get("hosts"))) inventory.set("hosts", inventory.createNode({}));
  const user = inventory.getIn(["defaults", "ssh", "user"]);
  addHosts(inventory, hosts, { user: typeof user === "string" ? user : undefined });
  return documents.map((document) => document.toString(layout)).join("");
}

function addHosts(document: Document, hosts: NamedHost[], { user }: { user: string | undefined }): void {
  for (const { name, met } of hosts) {
    const { at, hostKey } = met;
    const ssh = {
      ...(met.user !== user && { user: met.user }),
      ...(at.port !== undefined && { port: at.port }),
    };
    document.setIn(["hosts", name], {
      ...(at.address !== name && { address: at.address }),
      ...(hostKey !== undefined && { host_key: hostKey }),
      ...(Object.keys(ssh).length > 0 && { ssh }),
      ...(met.user !== user && met.user !== "root" && { become: "sudo" }),
    });
  }
}

/** `fleet.yaml` with a container that the first host can run, where it has what one is made of. Pure. */
export function fleetFileText(name: string, hosts: NamedHost[]): string {
  const [first] = hosts.filter(({ met }) => met.look.proxmox && met.look.templates.length > 0);
  const [anyHost = { name: "host1" }] = hosts;
  const [template] = first?.met.look.templates.slice(-1) ?? [];
  const document = new Document({ apiVersion: "nexcage/v1", kind: "Fleet", name, containers: {} });
  document.commentBefore =
    " What should run. All words: nexcage schema fleet. What it comes to: nexcage fleet plan.";
  if (first !== undefined && template !== undefined) {
    const [bridge] = first.met.look.bridges;
    document.setIn(["containers", "hello"], {
      host: first.name,
      runtime: "lxc",
      template: `local:vztmpl/${template}`,
      resources: { memory: "512m" },
      ...(bridge !== undefined && { networks: [{ name: "eth0", bridge, ip: "dhcp" }] }),
    });
  } else
    document.comment = ` A container from a folder beside this file, which is sent to the host once:
   hello:
     host: ${anyHost.name}
     rootfs: ./rootfs
     command: [/bin/sleep, infinity]`;
  return document.toString(layout);
}
