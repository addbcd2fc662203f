import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { appendFile, chmod, cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { stringify } from "yaml";
import { version } from "../../shared/version.ts";
import { dist } from "../dist.ts";
import { readCommands } from "../docs/paste.ts";
import { testUnless } from "../e2e/host-test.ts";
import { whyNoPackages } from "./requirements.ts";
import { makeRoot, type Root, type Suite, whyNoRoot } from "./root.ts";

/** The packages as revision 1, in `one`, and a repository of them and of revision 2, whose configuration says more. */
type Made = { one: string; repository: Repository };
type Repository = { folder: string; sources: string };
let made: Promise<Made> | undefined;
const folders: string[] = [];
test.after.always(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

const programs = ["dpkg-deb", "apt-ftparchive", "gpg", "gpg-agent", "lintian"] as const;
const longMs = 600_000; // the first one may have to make the Debian

/** A test that builds packages; where they cannot be built it is skipped, and its title says why. */
function packageTest(
  title: string,
  implementation: (t: ExecutionContext, made: Made) => Promise<void>,
): void {
  testUnless(whyNoPackages(...programs), title, async (t) => {
    t.timeout(longMs);
    made ??= make();
    await implementation(t, await made);
  });
}

/** As `packageTest`, with a bare Debian that knows the repository. */
function rootTest(
  title: string,
  implementation: (t: ExecutionContext, root: Root) => Promise<void>,
  suite: Suite = "bookworm",
): void {
  testUnless(whyNoPackages(...programs) ?? whyNoRoot(), title, async (t) => {
    t.timeout(longMs);
    made ??= make();
    const { repository } = await made;
    await using root = await makeRoot({ suite, srv: repository.folder });
    await useRepository(t, root, repository);
    await said(t, root, "apt-get", "-qq", "update");
    await implementation(t, root);
  });
}

packageTest("built twice of the same files, the packages are the same byte for byte", async (t, { one }) => {
  const again = await folder();
  await build(again, "1");
  t.deepEqual(await digests(again), await digests(one));
});

packageTest("lintian has nothing to say about the packages", async (t, { one }) => {
  const packages = (await readdir(one)).map((name) => join(one, name));
  t.is(packages.length, 3);
  // Without man pages in dist/ there are none in the packages.
  const ignored = existsSync(join(dist, "share/man")) ? [] : ["--suppress-tags", "no-manual-page"];
  const { stdout } = await execa("lintian", ["--no-cfg", "--allow-root", ...ignored, ...packages], {
    reject: false,
  });
  t.is(stdout, "");
});

for (const suite of ["bookworm", "trixie"] as const)
  rootTest(
    `installed from the signed repository on ${suite}, both programs run, and nothing is configured`,
    async (t, root) => {
      await install(t, root, "nexcage-agent", "nexcage");
      t.regex(await said(t, root, "nexcage-agent", "--version"), /^nexcage-agent \d/);
      t.regex(await said(t, root, "nexcage", "--version"), /^nexcage \d/);
      t.regex(await said(t, root, "nexcage", "fleet", "plan", "--help"), /--prune/);
      const hosts = { pve1: { address: "127.0.0.1" } };
      const inventory = stringify({ apiVersion: "nexcage/v1", kind: "Inventory", hosts });
      await write(t, root, "/inventory.yaml", inventory);
      const { all: bootstrap } = await root.run(["nexcage", "fleet", "bootstrap", "--check"]);
      t.regex(bootstrap, /pve1: AUTH_FAILED/); // it has found the agent that it would send
      const { all } = await root.run(["nexcage-agent", "doctor"]); // a bare root has no cgroups, and so it may fail
      t.regex(all, /\/etc\/nexcage\/config\.yaml: it sets nothing/);
      t.regex(all, /crun.*1\.21/);
      t.is(await said(t, root, "dpkg", "--verify"), "");
    },
    suite,
  );

rootTest(
  "a newer version is installed, then the older one; the configuration stays as edited",
  async (t, root) => {
    await install(t, root, `nexcage-agent=${version}-1`);
    const edited = "log_level: debug\n";
    await write(t, root, "/etc/nexcage/config.yaml", edited);
    t.regex(
      await said(t, root, "apt-get", "-qq", "upgrade"),
      /The default action is to keep your current version/,
    );
    t.regex(await said(t, root, "dpkg-query", "-W", "nexcage-agent"), /-2$/);
    t.is(await said(t, root, "cat", "/etc/nexcage/config.yaml"), edited.trim());
    t.regex((await root.run(["nexcage-agent", "doctor"])).all, /log level debug/);
    await install(t, root, "--allow-downgrades", `nexcage-agent=${version}-1`);
    t.regex(await said(t, root, "dpkg-query", "-W", "nexcage-agent"), /-1$/);
    t.is(await said(t, root, "cat", "/etc/nexcage/config.yaml"), edited.trim());
    t.regex(await said(t, root, "nexcage-agent", "--version"), /^nexcage-agent \d/);
  },
);

rootTest("removed, it leaves configuration and containers; purged, the containers alone", async (t, root) => {
  await install(t, root, "nexcage-agent");
  const record = "/var/lib/nexcage/containers/web.json";
  await said(t, root, "mkdir", "-p", "/var/lib/nexcage/containers");
  await write(t, root, record, "{}\n");
  await said(t, root, "apt-get", "-qq", "remove", "nexcage-agent");
  await said(t, root, "test", "!", "-e", "/usr/bin/nexcage-agent");
  await said(t, root, "test", "-e", "/etc/nexcage/config.yaml");
  await said(t, root, "test", "-e", record);
  const purged = await said(t, root, "apt-get", "-qq", "purge", "nexcage-agent");
  t.regex(purged, /nexcage-agent: \/var\/lib\/nexcage stays/);
  await said(t, root, "test", "!", "-e", "/etc/nexcage");
  await said(t, root, "test", "-e", record);
  await said(t, root, "apt-get", "-qq", "autopurge");
  await said(t, root, "test", "!", "-e", "/usr/lib/nexcage");
});

rootTest("a link that fleet bootstrap has left gives way to the package's program", async (t, root) => {
  const current = "/opt/nexcage/current";
  await said(t, root, "mkdir", "-p", current);
  await write(t, root, `${current}/nexcage-agent`, "bootstrapped\n");
  await said(t, root, "ln", "-s", `${current}/nexcage-agent`, "/usr/bin/nexcage-agent");
  await install(t, root, "nexcage-agent");
  await said(t, root, "test", "!", "-h", "/usr/bin/nexcage-agent");
  t.regex(await said(t, root, "nexcage-agent", "--version"), /^nexcage-agent \d/);
  t.is(await said(t, root, "cat", `${current}/nexcage-agent`), "bootstrapped");
});

const lies: { title: string; tell: (repository: string) => Promise<void>; why: RegExp }[] = [
  {
    title: "that another key has signed",
    tell: async (repository) => {
      const other = await folder();
      await cp((await made)?.one ?? "", other, { recursive: true });
      await sign(other);
      await cp(join(other, "nexcage.gpg"), join(repository, "nexcage.gpg"));
    },
    why: /NO_PUBKEY/,
  },
  {
    title: "whose list of packages is not the signed one",
    tell: async (repository) => {
      await appendFile(join(repository, "Packages"), "\n");
      await rm(join(repository, "Packages.gz"));
    },
    why: /Hash Sum mismatch/,
  },
];
for (const { title, tell, why } of lies)
  testUnless(whyNoPackages(...programs) ?? whyNoRoot(), `a repository ${title} is refused`, async (t) => {
    t.timeout(longMs);
    made ??= make();
    const { repository } = await made;
    const changed = await folder();
    await cp(repository.folder, changed, { recursive: true });
    await tell(changed);
    await using root = await makeRoot({ suite: "bookworm", srv: changed });
    await useRepository(t, root, repository);
    const { exitCode, all } = await root.run(["apt-get", "update"]);
    t.not(exitCode, 0);
    t.regex(all, why);
    t.not((await root.run(["apt-get", "-qq", "install", "nexcage-agent"])).exitCode, 0);
  });

packageTest(
  "a repository is signed with the key that is named, and what gpg says of another is told",
  async (t, { one }) => {
    const [home, repository] = [await folder(), await folder()];
    const env = { GNUPGHOME: home };
    const make = ["--batch", "--passphrase", "", "--quick-generate-key", "Releases <releases@example.org>"];
    await execa("gpg", make, { env });
    t.teardown(() => execa("gpgconf", ["--kill", "all"], { env }));
    const aptRepo = (key: string, packages: string) =>
      execa("node", [join(packaging, "apt-repo.ts"), packages, "--key", key], { env, reject: false });

    t.is(
      (await aptRepo("releases@example.org", repository)).stderr,
      `apt-repo: ${repository} holds no packages`,
    );
    await cp(one, repository, { recursive: true });
    const unknown = await aptRepo("nobody@example.org", repository);
    t.is(unknown.exitCode, 1);
    t.regex(unknown.stderr, /^apt-repo: gpg: .*nobody@example\.org.*No secret key$/);
    const { stdout } = await aptRepo("releases@example.org", repository);
    t.is(
      stdout,
      `Types: deb\nURIs: file:${repository}\nSuites: ./\nSigned-By: /etc/apt/keyrings/nexcage.gpg`,
    );
    const keyring = ["--keyring", join(repository, "nexcage.gpg")];
    const { stderr } = await execa("gpgv", [...keyring, join(repository, "InRelease")]);
    t.regex(stderr, /Good signature from "Releases <releases@example\.org>"/);
  },
);

testUnless(
  whyNoPackages(...programs) ?? whyNoRoot(),
  "the commands of packages.md, pasted, make a repository, and install, upgrade, verify and remove from it",
  async (t) => {
    t.timeout(longMs);
    made ??= make();
    const [home, srv] = [await folder(), await folder()];
    await cp((await made).repository.folder, srv, { recursive: true });
    const env = { GNUPGHOME: home };
    const key = ["--batch", "--passphrase", "", "--quick-generate-key", "Releases <releases@example.org>"];
    await execa("gpg", key, { env });
    t.teardown(() => execa("gpgconf", ["--kill", "all"], { env }));
    const [makes, shows, ...others] = await readCommands("packages.md", {
      "dist/deb --key KEY": `${srv} --key releases@example.org`,
      "https://packages.example.org/nexcage": "file:/srv",
      VERSION: `${version}-1`,
    });
    await execa("sh", ["-ec", makes?.code ?? ""], { cwd: join(packaging, ".."), env });
    await using root = await makeRoot({ suite: "bookworm", srv });
    await said(t, root, "cp", "/srv/nexcage.gpg", "/nexcage.gpg");
    const shown = await execa("sh", ["-ec", shows?.code ?? ""], { cwd: srv, env });
    t.regex(shown.stdout, /Releases <releases@example\.org>/);
    let output = "";
    // One by one, because apt takes all of its stdin; but for the one that has lines of its own.
    for (const { code, line } of others)
      for (const command of code.includes("<<END") ? [code] : code.trimEnd().split("\n")) {
        const { exitCode, all } = await root.run(["sh", "-ec", command]);
        // A bare root has no cgroups, which doctor tells.
        if (!code.includes("doctor")) t.is(exitCode, 0, `packages.md:${line}:\n${command}\n${all}`);
        output += all;
      }
    t.regex(output, /crun.*1\.21/);
    t.regex(output, /Purging configuration files for nexcage-agent/);
    await said(t, root, "test", "!", "-e", "/usr/lib/nexcage");
  },
);

const packaging = join(import.meta.dirname, "../../packaging");

async function make(): Promise<Made> {
  const [one, both] = [await folder(), await folder()];
  await build(one, "1");
  await build(both, "2");
  await changeConfiguration(both);
  await cp(one, both, { recursive: true });
  return { one, repository: { folder: both, sources: await sign(both) } };
}

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "nexcage-packages-"));
  await chmod(made, 0o755); // apt reads as another user
  folders.push(made);
  return made;
}

async function build(out: string, revision: string): Promise<void> {
  await execa("node", [join(packaging, "deb.ts"), "--out", out, "--revision", revision]);
}

/** Makes a repository of a folder that will be /srv; what users write into their sources. */
async function sign(packages: string): Promise<string> {
  return (await execa("node", [join(packaging, "apt-repo.ts"), packages, "--uri", "file:/srv"])).stdout;
}

/** Else an upgrade would have no reason to touch the file. */
async function changeConfiguration(packages: string): Promise<void> {
  const name = (await readdir(packages)).find((file) => file.startsWith("nexcage-agent_")) ?? "";
  const tree = join(await folder(), "tree");
  await execa("dpkg-deb", ["--raw-extract", join(packages, name), tree]);
  await appendFile(join(tree, "etc/nexcage/config.yaml"), "# more\n");
  await execa("dpkg-deb", ["--root-owner-group", "--build", tree, join(packages, name)]);
}

async function digests(packages: string): Promise<Record<string, string>> {
  const sums: Record<string, string> = {};
  for (const name of await readdir(packages))
    sums[name] = createHash("sha256")
      .update(await readFile(join(packages, name)))
      .digest("hex");
  return sums;
}

/** As docs/packages.md says. */
async function useRepository(t: ExecutionContext, root: Root, { sources }: Repository): Promise<void> {
  await said(t, root, "cp", "/srv/nexcage.gpg", "/etc/apt/keyrings/nexcage.gpg");
  await write(t, root, "/etc/apt/sources.list.d/nexcage.sources", `${sources}\n`);
}

async function install(t: ExecutionContext, root: Root, ...words: string[]): Promise<void> {
  await said(t, root, "apt-get", "-qq", "install", ...words);
}

async function write(t: ExecutionContext, root: Root, path: string, text: string): Promise<void> {
  const { exitCode, all } = await root.run(["tee", path], { input: text });
  t.is(exitCode, 0, all);
}

/** What a program in the root says; it must succeed. */
async function said(t: ExecutionContext, root: Root, ...words: string[]): Promise<string> {
  const { exitCode, all } = await root.run(words);
  t.is(exitCode, 0, `${words.join(" ")}: ${all}`);
  return all;
}
