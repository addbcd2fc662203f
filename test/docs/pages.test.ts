import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import test from "ava";
import { execa } from "execa";
import { stringify } from "yaml";
import { dist } from "../dist.ts";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { hostTest, testUnless } from "../e2e/host-test.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import { codeBlocks } from "./markdown.ts";

const docs = join(import.meta.dirname, "../../docs");
const whyNot = existsSync("/usr/sbin/debootstrap") ? whyNoHosts() : "not installed: debootstrap";

/** Pastes commands at a terminal, and says yes to what is asked. */
async function paste(bed: Bed, commands: string): Promise<{ exitCode: number | undefined; output: string }> {
  const script = join(bed.folder, "pasted.sh");
  await writeFile(script, `cd "$(cat '${bed.folder}/cwd')"\nset -e\n${commands}\npwd >'${bed.folder}/cwd'\n`);
  const child = execa("script", ["-qec", `bash ${script}`, "/dev/null"], {
    env: {
      PATH: `${dist}:${process.env.PATH}`,
      HOME: join(bed.folder, "home"),
      XDG_CACHE_HOME: join(bed.folder, "cache"),
      TERM: "xterm",
    },
    extendEnv: false,
    stdin: "pipe",
    reject: false,
  });
  child.stdout.on("data", (text: Buffer) => {
    if (text.includes("[y/N]")) child.stdin.write("y\n");
  });
  const { exitCode, stdout } = await child;
  return { exitCode, output: stripVTControlCharacters(stdout).replaceAll("\r", "") };
}

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
    await writeFile(join(bed.folder, "cwd"), join(bed.folder, "work"));
    const text = (await readFile(join(docs, "tutorial.md"), "utf8"))
      .replaceAll("10.20.0.11", bed.host("pve1").address)
      .replaceAll("10.20.0.12", bed.host("pve2").address);
    const blocks = codeBlocks(text).filter(({ language }) => language === "sh");
    let output = "";
    for (const { code, line } of blocks) {
      const pasted = await paste(bed, code);
      t.is(pasted.exitCode, 0, `tutorial.md:${line}:\n${code}\n${pasted.output}`);
      output += pasted.output;
    }
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
    await writeFile(join(bed.folder, "cwd"), bed.folder);
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    const blocks = codeBlocks(await readFile(join(docs, "how-to.md"), "utf8"));
    for (const { code, line } of blocks.filter(({ language }) => language === "sh")) {
      const pasted = await paste(bed, code);
      t.is(pasted.exitCode, 0, `how-to.md:${line}:\n${code}\n${pasted.output}`);
    }
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
