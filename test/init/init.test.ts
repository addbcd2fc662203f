import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { dist } from "../dist.ts";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { hostTest, proxmoxTest } from "../e2e/host-test.ts";

/** A user's empty folder, with a key that the hosts know. */
async function emptyFolder(bed: Bed): Promise<string[]> {
  for (const file of ["inventory.yaml", "fleet.yaml"]) await rm(join(bed.folder, file), { force: true });
  return ["--identity", join(bed.hosts.dir, "id_ed25519")];
}

hostTest("init meets a host whose key is not known, and what it writes can be planned", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1"]);
  const key = await emptyFolder(bed);
  const { address, hostKeyFingerprint } = bed.host("node1");

  const unasked = await bed.nexcage("init", address, ...key);
  t.is(unasked.exitCode, 4);
  t.regex(unasked.stderr, new RegExp(`--host-key ${hostKeyFingerprint.replaceAll("+", "\\+")}`));
  const wrong = await bed.nexcage("init", address, ...key, "--host-key", `SHA256:${"A".repeat(43)}`);
  t.is(wrong.exitCode, 4, "another key than it shows is a no");
  t.is((await bed.nexcage("inventory", "check")).exitCode, 64, "nothing was written");

  const made = await bed.nexcage("init", `root@${address}`, ...key, "--host-key", hostKeyFingerprint);
  t.is(made.exitCode, 0, made.stderr);
  t.regex(made.stdout, /Next:\n {2}nexcage fleet bootstrap/);
  const inventory = await readFile(join(bed.folder, "inventory.yaml"), "utf8");
  t.regex(inventory, /node1:\n +address: \S+\n +host_key: SHA256:/);
  t.is((await bed.nexcage("inventory", "check")).exitCode, 0);

  const again = await bed.nexcage("init", address, ...key);
  t.is(again.exitCode, 9, "what is there is not overwritten");
  t.is(await readFile(join(bed.folder, "inventory.yaml"), "utf8"), inventory);

  const path = join(dist, "nexcage-agent");
  await writeFile(
    join(bed.folder, "inventory.yaml"),
    inventory.replace("defaults:", `defaults:\n  agent: {path: ${path}}`),
  );
  const planned = await bed.nexcage("fleet", "plan");
  t.is(planned.exitCode, 0, planned.stderr);
  t.regex(planned.stdout, /Nothing to do/);
});

hostTest("at a terminal init asks for the hosts and shows each key before it is trusted", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1", "node2"]);
  const key = await emptyFolder(bed);
  const addresses = bed.hosts.hosts.map(({ address }) => address);
  const command = `${join(dist, "nexcage")} init ${key.join(" ")}`;
  const child = execa("script", ["-qec", command, "/dev/null"], {
    cwd: bed.folder,
    env: { HOME: join(bed.folder, "home"), PATH: process.env.PATH ?? "" },
    extendEnv: false,
    stdin: "pipe",
    reject: false,
  });
  const answers = [`${addresses.join(" ")}\n`, "y\n", "yes\n"];
  child.stdout.on("data", (text: Buffer) => {
    if (/Hosts, as ssh takes them|\[y\/N\]/.test(text.toString())) child.stdin.write(answers.shift() ?? "\n");
  });
  const { stdout, exitCode } = await child;
  t.is(exitCode, 0, stdout);
  t.is(stdout.match(/Is that the key of this host\? \[y\/N\]/g)?.length, 2, stdout);
  for (const { hostKeyFingerprint } of bed.hosts.hosts) t.true(stdout.includes(hostKeyFingerprint));
  const inventory = await readFile(join(bed.folder, "inventory.yaml"), "utf8");
  t.regex(inventory, /node1:/);
  t.regex(inventory, /node2:/);
});

proxmoxTest("on a Proxmox node the first fleet is a container of a template that it has", async (t) => {
  t.timeout(240_000);
  await using bed = await makeBed(["pve1", "node2"], { proxmox: ["pve1"] });
  const key = await emptyFolder(bed);
  const made = await bed.nexcage("init", bed.host("pve1").address, ...key, "--accept-new", "--name", "shop");
  t.is(made.exitCode, 0, made.stderr);
  const file = join(bed.folder, "inventory.yaml");
  const text = await readFile(file, "utf8");
  await writeFile(
    file,
    text.replace("defaults:", `defaults:\n  agent: {path: ${join(dist, "nexcage-agent")}}`),
  );
  const planned = await bed.nexcage("fleet", "plan");
  t.is(planned.exitCode, 0, planned.stderr + planned.stdout);
  t.regex(planned.stdout, /\+ create +hello/);

  // The other one is no Proxmox node, and need not be to be met.
  const nodes = [bed.host("pve1"), bed.host("node2")].map(({ name, address }, index) => [
    name,
    { id: index + 1, online: 1, ip: address },
  ]);
  const members = {
    nodename: "pve1",
    version: 4,
    cluster: { name: "lab", version: 2, nodes: 3, quorate: 1 },
    nodelist: { ...Object.fromEntries(nodes), pve9: { id: 3, online: 0, ip: "10.9.9.9" } },
  };
  await bed.host("pve1").exec(["tee", "/etc/pve/.members"], { input: JSON.stringify(members) });
  const found = await bed.nexcage("inventory", "discover", "pve1");
  t.is(found.exitCode, 0, found.stderr);
  t.regex(found.stdout, /Cluster lab/);
  t.regex(found.stdout, /pve1 +\S+ +yes +has it/);
  t.regex(found.stdout, /node2 +\S+ +yes +lacks it/);
  t.regex(found.stdout, /pve9 +10\.9\.9\.9 +no +lacks it/);

  const unasked = await bed.nexcage("inventory", "discover", "pve1", "--write", "inventory.yaml");
  t.is(unasked.exitCode, 4, "its key is not known");
  const added = await bed.nexcage("inventory", "discover", "pve1", "-w", "inventory.yaml", "--accept-new");
  t.is(added.exitCode, 0, added.stderr);
  t.regex(added.stdout, /node2 +\S+ +yes +added/);
  const after = await readFile(file, "utf8");
  t.regex(after, /node2:\n +address: \S+\n +host_key: SHA256:/);
  t.notRegex(after, /pve9/, "one that is off could not be met");
  t.is((await bed.nexcage("fleet", "agents")).exitCode, 0);

  await mkdir(join(bed.folder, "elsewhere"));
  const no = await bed.nexcage("inventory", "discover", "node2");
  t.is(no.exitCode, 9);
  t.regex(no.stderr, /is it a Proxmox VE node\?/);
});
