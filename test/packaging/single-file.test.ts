import { chmod, copyFile, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { version } from "../../shared/version.ts";
import { makeBed } from "../e2e/bed.ts";
import { hostTest, testUnless } from "../e2e/host-test.ts";
import { whyNoPackages } from "./requirements.ts";

let made: Promise<string> | undefined;
test.after.always(async () => {
  if (made !== undefined) await rm(await made, { recursive: true });
});

async function make(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-single-file-test-"));
  const script = join(import.meta.dirname, "../../packaging/single-file.ts");
  await execa(process.execPath, [script, "--out", join(folder, "nexcage")]);
  return folder;
}

testUnless(
  whyNoPackages(),
  "one file says who it is, completes and helps, and takes no NODE_OPTIONS",
  async (t) => {
    t.timeout(120_000);
    made ??= make();
    const folder = await made;
    const run = async (...words: string[]) =>
      await execa(join(folder, "nexcage"), words, {
        cwd: folder,
        env: { NODE_OPTIONS: "--require /no/such/file", HOME: folder },
        extendEnv: false,
      });
    t.is((await run("version")).stdout, `nexcage ${version}`);
    t.regex((await run("fleet", "plan", "--help")).stdout, /--prune/);
    t.regex((await run("completion", "bash")).stdout, /complete -F _nexcage nexcage/);
    t.deepEqual(await readdir(folder), ["nexcage"]);
  },
);

hostTest(
  "alone in a folder, one file brings its agent to a host, plans, applies, and leaves nothing beside itself",
  async (t) => {
    t.timeout(240_000);
    const missing = whyNoPackages();
    if (missing !== undefined) return t.log(`skipped: ${missing}`);
    made ??= make();
    await using bed = await makeBed(["node1"]);
    const alone = join(bed.folder, "alone");
    const temporary = join(bed.folder, "tmp");
    for (const folder of [alone, temporary]) await mkdir(folder);
    await copyFile(join(await made, "nexcage"), join(alone, "nexcage"));
    await chmod(join(alone, "nexcage"), 0o755);
    const ssh = {
      user: "root",
      identity_file: join(bed.hosts.dir, "id_ed25519"),
      known_hosts: join(bed.hosts.dir, "known_hosts"),
    };
    await bed.writeInventory({}, { ssh, agent: { path: "/opt/nexcage/nexcage-agent" } });
    await bed.writeFleet({
      web: { command: ["sh", "-c", "echo hello; exec sleep 1000"], stop_grace_period: "0s" },
    });
    const run = async (...words: string[]) => {
      const { exitCode, stdout, stderr } = await execa(join(alone, "nexcage"), words, {
        cwd: bed.folder,
        env: { HOME: join(bed.folder, "home"), TMPDIR: temporary, PATH: "/usr/bin:/bin" },
        extendEnv: false,
        reject: false,
      });
      t.is(exitCode, 0, `${words.join(" ")}:\n${stdout}\n${stderr}`);
      return stdout;
    };
    t.regex(await run("fleet", "bootstrap"), /node1 +- +\d.+ installed +3\d\.\d MiB/);
    t.regex(await run("fleet", "plan"), /1 to create/);
    t.regex(await run("fleet", "apply"), /1 done/);
    t.regex(await run("fleet", "status"), /web +node1 +running +running/);
    t.regex(await run("fleet", "exec", "web", "--", "echo", "inside"), /inside/);
    t.regex(await run("fleet", "logs", "web"), /hello/);
    t.regex(await run("fleet", "agents"), /node1/);
    await run("fleet", "unbootstrap", "--yes");
    t.deepEqual(await readdir(alone), ["nexcage"]);
    t.deepEqual(await readdir(temporary), []);
  },
);
