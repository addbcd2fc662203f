/*
 * `npm run demo`: three hosts on this machine, a fleet on them, changed and removed again, by the same
 * commands that a user types.
 */
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";
import { dist } from "./dist.ts";
import { startHosts, whyNoHosts } from "./hosts/hosts.ts";
import { whyNoProxmox } from "./proxmox/nodes.ts";

const examples = join(import.meta.dirname, "../inventory/examples");

/** Three hosts, however they can be had here. */
type DemoHosts = AsyncDisposable & {
  /** Holds `id_ed25519` and `known_hosts`. */
  dir: string;
  hosts: { name: string; address: string; port: number }[];
  agentPath: string;
  /** Why they are no Proxmox nodes; undefined where they are. */
  whyNoProxmox?: string | undefined;
};

async function startDemoHosts(names: string[]): Promise<DemoHosts> {
  const reason = whyNoHosts();
  if (reason === undefined) {
    const obstacle = whyNoProxmox();
    say("Starting three hosts on this machine, each with a network, an sshd, a /run and cgroups of its own.");
    if (obstacle === undefined)
      say("SIMULATED: Proxmox VE itself. A stand-in for its programs makes real LXC containers.");
    else say(`Without containers of Proxmox's, because ${obstacle}.`);
    const started = await startHosts({ names, proxmox: obstacle === undefined });
    return Object.assign(started, { agentPath: join(dist, "nexcage-agent"), whyNoProxmox: obstacle });
  }
  say(
    `SIMULATED: ${reason}. So the three hosts are SSH servers inside this program, their containers are plain ` +
      "processes without isolation, and root file systems are not sent. As root on Debian it is all real.",
  );
  const { startSimulatedHosts } = await import("./simulated/hosts.ts");
  return Object.assign(await startSimulatedHosts(names), { whyNoProxmox: reason });
}

async function main(): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const hosts = cleanup.use(await startDemoHosts(["node1", "node2", "node3"]));
  const folder = await mkdtemp("/var/tmp/nexcage-demo-");
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  await cp(join(examples, "shop"), folder, { recursive: true });
  if (existsSync("/bin/busybox")) await execa(join(examples, "make-rootfs"), [join(folder, "rootfs")]);
  else await mkdir(join(folder, "rootfs")); // simulated: nothing runs in it
  await writeFile(join(folder, "inventory.yaml"), inventoryOf(hosts));
  const fleetFile = join(folder, "fleet.yaml");
  const example = await readFile(fleetFile, "utf8");
  const fleet = hosts.whyNoProxmox === undefined ? example : edited(example, [without("cache")]);
  await writeFile(fleetFile, fleet);

  const nexcage = async (...words: string[]): Promise<void> => {
    process.stdout.write(`\n$ nexcage ${words.join(" ")}\n`);
    const { exitCode } = await execa(join(dist, "nexcage"), words, {
      cwd: folder,
      env: { HOME: folder, XDG_CACHE_HOME: join(folder, ".cache") },
      stdio: "inherit",
      reject: false,
    });
    if (exitCode !== 0) throw new Error(`nexcage ${words.join(" ")} ended with exit code ${exitCode}`);
  };

  await nexcage("inventory", "check");
  await nexcage("fleet", "plan");
  await nexcage("fleet", "apply");
  await nexcage("fleet", "status");
  say("Once more: there is nothing to do, and nothing is done.");
  await nexcage("fleet", "apply");
  await nexcage("fleet", "exec", "web-1", "--", "hostname");
  await nexcage("fleet", "logs", "--tail", "2", "web-*");
  if (hosts.whyNoProxmox === undefined) await nexcage("fleet", "exec", "cache@node1", "--", "hostname");

  say(
    "Now the files change: web gets a new version and one replica more, db and cache more memory, and probe leaves.",
  );
  await writeFile(
    fleetFile,
    edited(fleet, hosts.whyNoProxmox === undefined ? [...changes, moreCache] : changes),
  );
  await nexcage("fleet", "plan", "--prune");
  await nexcage("fleet", "apply", "--prune", "--yes");
  await nexcage("fleet", "state", "web-1");
  await nexcage("fleet", "status");

  say("Taking it all down again.");
  await nexcage("fleet", "delete", "*", "--yes");
  await nexcage("fleet", "status");
}

function inventoryOf({ dir, hosts, agentPath }: DemoHosts): string {
  return stringify({
    apiVersion: "nexcage/v1",
    kind: "Inventory",
    defaults: {
      ssh: { user: "root", identity_file: join(dir, "id_ed25519"), known_hosts: join(dir, "known_hosts") },
      agent: { path: agentPath },
    },
    hosts: Object.fromEntries(
      hosts.map(({ name, address, port }, index) => [
        name,
        { address, ssh: { port }, labels: { zone: index < 2 ? "east" : "west" } },
      ]),
    ),
    groups: { shop: { hosts: hosts.map(({ name }) => name) } },
  });
}

type Edit = [old: string | RegExp, now: string];

const without = (name: string): Edit => [new RegExp(`\\n {2}${name}:\\n(?: {4}.*\\n)+`), ""];

const changes: Edit[] = [
  ["replicas: 3", "replicas: 4"],
  ["ROLE: web,", "ROLE: web version 2,"],
  ["memory: 128m", "memory: 192m"],
  without("probe"),
];

const moreCache: Edit = ["memory: 64m, swap", "memory: 96m, swap"];

/** The example's fleet as someone edits it. */
function edited(text: string, edits: Edit[]): string {
  return edits.reduce((before, [old, now]) => {
    const after = before.replace(old, now);
    if (after === before) throw new Error(`the example's fleet.yaml has no ${old} any more`);
    return after;
  }, text);
}

let saidBefore = false;

function say(text: string): void {
  process.stdout.write(`${saidBefore ? "\n" : ""}--- ${text}\n`);
  saidBefore = true;
}

await main();
