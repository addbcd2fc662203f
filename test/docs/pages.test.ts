import { existsSync, readdirSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { stringify } from "yaml";
import { makeBuild } from "../bootstrap/builds.ts";
import { dist } from "../dist.ts";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { hostTest, proxmoxTest, testUnless } from "../e2e/host-test.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import { busyboxTemplate } from "../proxmox/nodes.ts";
import { codeBlocks, commandsOf } from "./markdown.ts";
import { docs, pastedPages, pastePage } from "./paste.ts";

const whyNot = existsSync("/usr/sbin/debootstrap") ? whyNoHosts() : "not installed: debootstrap";

testUnless(
  whyNot,
  "the tutorial's commands, pasted one by one, end with a fleet that ran, changed, went back and is gone",
  async (t) => {
    t.timeout(400_000);
    await using bed = await makeBed(["pve1", "pve2"], { debian: { pve1: "bookworm", pve2: "trixie" } });
    const key = await readFile(join(bed.hosts.dir, "id_ed25519"));
    await mkdir(join(bed.folder, "home/.ssh"), { recursive: true, mode: 0o700 });
    await writeFile(join(bed.folder, "home/.ssh/id_ed25519"), key, { mode: 0o600 });
    await mkdir(join(bed.folder, "work"));
    const output = await pastePage(t, bed, {
      page: "tutorial.md",
      folder: join(bed.folder, "work"),
      own: { "10.20.0.11": bed.host("pve1").address, "10.20.0.12": bed.host("pve2").address },
    });
    t.deepEqual(output.match(/hello from version \d/g), [
      "hello from version 1",
      "hello from version 2",
      "hello from version 1",
    ]);
    t.regex(output, /Nothing to do: 2 unchanged/);
    for (const name of ["pve1", "pve2"]) {
      t.not((await bed.host(name).exec(["pgrep", "httpd"])).exitCode, 0, `${name} runs nothing any more`);
      t.is((await bed.host(name).exec(["ls", "-A", "/opt"])).stdout, "");
    }
  },
);

hostTest(
  "the recipes of how-to.md, pasted one after the other, work on a fleet as they describe it",
  async (t) => {
    t.timeout(400_000);
    await using bed = await makeBed(["pve1", "pve2"]);
    const sleeper = { rootfs: "./rootfs", command: ["/bin/sleep", "1000"], stop_grace_period: "0s" };
    await writeFile(
      join(bed.folder, "fleet.yaml"),
      stringify({
        apiVersion: "nexcage/v1",
        kind: "Fleet",
        name: "shop",
        containers: {
          web: { ...sleeper, replicas: 2, resources: { memory: "64m" } },
          db: { ...sleeper, host: "pve1" },
        },
      }),
    );
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await pastePage(t, bed, { page: "how-to.md", own: { "/var/lib/prometheus/node-exporter": "/run" } });
    const left = JSON.parse((await bed.nexcage("fleet", "status", "--all", "-o", "json")).stdout);
    t.deepEqual(
      left.containers.map(({ id }: { id: string }) => id),
      ["web-1", "web-2"],
    );
  },
);

test("each claim of the threat model is held by a test that is there", async (t) => {
  const text = await readFile(join(docs, "threat-model.md"), "utf8");
  const claims = text.split("\n").filter((line) => /^\| (?!claim )[^-]/.test(line));
  t.true(claims.length > 20);
  for (const line of claims) {
    const [, file = "", title = ""] = /\| `(test\/[^`]+)`: (.+) \|$/.exec(line) ?? [];
    const source = await readFile(join(docs, "..", file), "utf8").catch(() => "");
    t.true(title !== "" && source.includes(title), line);
  }
});

hostTest(
  "the commands of bootstrap.md, pasted, go back to the build before and take the agent away",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeBed(["pve1"]);
    await writeFilesFor(bed);
    const older = await makeBuild(join(bed.folder, "older"), { kind: "newer" });
    for (const words of [["--agent", older], []])
      t.is((await bed.nexcage("fleet", "bootstrap", ...words)).exitCode, 0);
    const key = join(bed.folder, "key");
    for (const file of [key, join(bed.folder, "ci")])
      await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file]);
    await cp(join(dist, "lib/nexcage/agents"), join(bed.folder, "lib/nexcage/agents"), { recursive: true });
    const said = await pastePage(t, bed, { page: "bootstrap.md", own: { KEY: key } });
    t.regex(said, /restrict,command="\/opt\/nexcage\/nexcage-agent serve --stdio" ssh-ed25519 /);
    const signature = join(bed.folder, "lib/nexcage/agents/linux-x64/SHA256SUMS.sig");
    t.regex(await readFile(signature, "utf8"), /BEGIN SSH SIGNATURE/);
  },
);

hostTest("the commands of ci.md, pasted after an apply, find nothing to do", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["pve1"]);
  await writeFilesFor(bed);
  for (const word of ["bootstrap", "apply"]) t.is((await bed.nexcage("fleet", word)).exitCode, 0);
  await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(bed.folder, "ci")]);
  t.regex(await pastePage(t, bed, { page: "ci.md" }), /Nothing to do: 1 unchanged/);
});

hostTest("the commands of oci-runtime.md, pasted, run a container by hand, and leave nothing", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["pve1"]);
  const said = await pastePage(t, bed, { page: "oci-runtime.md" });
  t.regex(said, /busybox sleep 100/);
  t.regex(said, /"limit":67108864/);
  t.regex(said, /^demo +\d+ +running .* root$/m);
  const left = await bed.host("pve1").exec(["sh", "-c", "cat /run/demo/output; ls /run/nexcage/.crun"]);
  t.is(left.stdout, "hello");
});

/** A fleet of one container, on a host that gets its agent by bootstrap. */
async function writeFilesFor(bed: Bed): Promise<void> {
  const ssh = {
    user: "root",
    identity_file: join(bed.hosts.dir, "id_ed25519"),
    known_hosts: join(bed.hosts.dir, "known_hosts"),
  };
  await bed.writeInventory({}, { ssh, agent: { path: "/opt/nexcage/nexcage-agent" } });
  await bed.writeFleet({ web: { command: ["sleep", "1000"], stop_grace_period: "0s", host: "pve1" } });
}

const template = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";

proxmoxTest("the commands of proxmox.md, pasted, adopt two guests, and run one by hand", async (t) => {
  t.timeout(240_000);
  await using bed = await makeBed(["pve1"], { proxmox: true });
  const make = (vmid: number) => `pct create ${vmid} ${busyboxTemplate} --hostname guest${vmid}`;
  // Adopted guests are as if made of the newest template of their system.
  const copy = "cd /var/lib/vz/template/cache && cp busybox-* alpine-3.22-default_20250617_amd64.tar.zst";
  const script = [copy, ...[105, 106].map(make)].join("\n");
  const made = await bed.host("pve1").exec(["sh", "-ec", script]);
  t.is(made.exitCode, 0, made.stderr);
  await bed.writeFleet({});
  const said = await pastePage(t, bed, { page: "proxmox.md", own: { [template]: busyboxTemplate } });
  t.regex(said, /guest 105 is this fleet's\n.*guest 106 is this fleet's/);
  const { stdout } = await bed.host("pve1").exec(["pct", "list"]);
  t.deepEqual(stdout.match(/^\d+/gm), ["105", "106"], "that by hand is gone again");
});

proxmoxTest("the commands of from-0.7.md, pasted, do on the host what 0.7 did", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["pve1"], { proxmox: true });
  const blocks = codeBlocks(await readFile(join(docs, "from-0.7.md"), "utf8"));
  const configuration = blocks.find(({ language }) => language === "yaml")?.code ?? "";
  const own = { [template]: busyboxTemplate };
  const file = "/etc/nexcage/config.yaml";
  const text = configuration.replace("storage: local-lvm, rootfs_size_gb: 8", "rootfs_size_gb: 1");
  t.not(text, configuration);
  const write = ["sh", "-c", `mkdir -p /etc/nexcage && cat >${file}`];
  await bed.host("pve1").exec(write, { input: text });
  const said = await pastePage(t, bed, { page: "from-0.7.md", own });
  t.regex(said, /"status": "running"/);
  t.regex(said, /crun.*cilium/);
  t.is((await bed.host("pve1").exec([join(dist, "nexcage-agent"), "list", "-q"])).stdout, "");
});

test("what a page has the reader type is in blocks of sh, which are run or say why not", async (t) => {
  for (const name of readdirSync(docs).filter((file) => file.endsWith(".md"))) {
    const text = await readFile(join(docs, name), "utf8");
    t.notRegex(text, /\n\n {4}\S/, `${name}: a block that is indented has no language`);
    const shell = codeBlocks(text).filter(({ language }) => language === "sh");
    t.is(shell.length > 0, pastedPages.includes(name), name);
    t.notThrows(() => commandsOf(text), name);
    for (const { note } of shell.filter(({ note: one }) => one?.startsWith("not run")))
      t.regex(note ?? "", /^not run: \S+ \S+/, name);
  }
});

const pages = readdirSync(docs)
  .filter((name) => name.endsWith(".md"))
  .map((name) => join("docs", name));

for (const page of ["README.md", ...pages]) {
  const file = join(docs, "..", page);
  test(`${page}: each link to a file leads to one`, async (t) => {
    const text = await readFile(file, "utf8");
    const targets = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target = ""]) => target);
    const missing = targets.filter(
      (target) => !/^[a-z]+:/.test(target) && !existsSync(join(file, "..", target)),
    );
    t.deepEqual(missing, []);
  });

  test(`${page}: its YAML files are such as nexcage reads`, async (t) => {
    const blocks = codeBlocks(await readFile(file, "utf8"));
    const documents = blocks.filter(
      ({ language, code }) => language === "yaml" && code.includes("apiVersion: nexcage/v1"),
    );
    const folder = await mkdtemp(join(tmpdir(), "nexcage-docs-"));
    try {
      await mkdir(join(folder, "rootfs"));
      const names = documents.map((_, index) => `${index}.yaml`);
      for (const [index, { code }] of documents.entries())
        await writeFile(join(folder, `${index}.yaml`), code);
      if (names.length === 0) return t.pass();
      const words = ["inventory", "check", ...names.flatMap((name) => ["-f", name])];
      const checked = await execa(join(dist, "nexcage"), words, { cwd: folder, reject: false });
      t.is(checked.exitCode, 0, checked.stderr);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}
