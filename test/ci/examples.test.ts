import { copyFile, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { dist } from "../dist.ts";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { hostTest } from "../e2e/host-test.ts";
import { runOnGitHub, runOnGitLab } from "./runners.ts";

const repository = join(import.meta.dirname, "../..");

/** The example's repository, checked out, with this test's hosts in place of those that it names. */
async function checkOut(bed: Bed): Promise<{ folder: string; key: string; env: Record<string, string> }> {
  const folder = join(bed.folder, "repository");
  await cp(join(repository, "docs/examples/ci"), folder, { recursive: true });
  await copyFile(join(repository, "ci/gitlab.yml"), join(folder, "nexcage.gitlab-ci.yml"));
  await cp(join(bed.folder, "rootfs"), join(folder, "rootfs"), { recursive: true, verbatimSymlinks: true });
  await copyFile(join(bed.hosts.dir, "known_hosts"), join(folder, "known_hosts"));
  const file = join(folder, "inventory.yaml");
  let text = await readFile(file, "utf8");
  for (const [name, address] of [
    ["pve1", "10.20.0.11"],
    ["pve2", "10.20.0.12"],
  ] as const)
    text = text.replace(address, bed.host(name).address);
  const agent = `  agent: {path: ${join(dist, "nexcage-agent")}}\n`;
  await writeFile(file, text.replace("defaults:\n", `defaults:\n${agent}`));
  const env = {
    PATH: `${dist}:${process.env.PATH}`,
    HOME: join(bed.folder, "home"),
    XDG_CACHE_HOME: join(bed.folder, "cache"),
    API_TOKEN: "hunter2",
  };
  return { folder, key: join(bed.hosts.dir, "id_ed25519"), env };
}

hostTest("on GitHub a request is planned, a merge applied, and drift found at night", async (t) => {
  t.timeout(180_000);
  await using bed = await makeBed(["pve1", "pve2"]);
  const { folder, key, env } = await checkOut(bed);
  const secrets = { NEXCAGE_SSH_KEY: await readFile(key, "utf8") };
  const run = (job: string) => runOnGitHub(folder, job, { secrets, env });

  const planned = await run("plan");
  t.is(planned.exitCode, 0, planned.output);
  t.regex(planned.output, /Plan: 2 to create/);
  t.is(planned.outputs["exit-code"], "0");
  t.regex(await readFile(planned.outputs.report ?? "", "utf8"), /<title>nexcage plan: shop<\/title>/);
  t.regex(await readFile(join(folder, ".summary"), "utf8"), /### nexcage plan: shop: 2 to change/);

  const applied = await run("apply");
  t.is(applied.exitCode, 0, applied.output);
  t.is((await run("drift")).exitCode, 0, "right after it there is none");
  await bed.host("pve2").exec([join(dist, "nexcage-agent"), "stop", "web-1"]);
  const drifted = await run("drift");
  t.is(drifted.exitCode, 2);
  t.regex(drifted.output, /The hosts are not as the files say/);
  t.notRegex(planned.output + applied.output + drifted.output, /hunter2|OPENSSH PRIVATE KEY/);

  const fleet = join(folder, "fleet.yaml");
  await writeFile(fleet, (await readFile(fleet, "utf8")).replace("replicas", "replicsa"));
  const wrong = await run("plan");
  t.is(wrong.exitCode, 64);
  t.regex(wrong.output, /^::error file=fleet\.yaml,line=8,col=\d+,title=INVALID_FILE::/m);
});

test("the action's arguments may stand on several lines", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-ci-"));
  try {
    await writeFile(join(folder, "nexcage"), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    const { stdout } = await execa(join(repository, "ci/run"), [], {
      cwd: folder,
      env: {
        PATH: `${folder}:${process.env.PATH}`,
        NEXCAGE_COMMAND: "apply",
        NEXCAGE_ARGUMENTS: "--lock-timeout 10m\n--limit staging\n",
      },
    });
    t.regex(stdout, /^fleet apply --yes --lock-timeout 10m --limit staging --report /);
  } finally {
    await rm(folder, { recursive: true });
  }
});

hostTest("on GitLab a request is planned, a merge applied, and drift found at night", async (t) => {
  t.timeout(180_000);
  await using bed = await makeBed(["pve1", "pve2"]);
  const { folder, key, env } = await checkOut(bed);
  const run = (job: string) => runOnGitLab(folder, job, { ...env, NEXCAGE_SSH_KEY: key });
  const planned = await run("nexcage plan");
  t.is(planned.exitCode, 0, planned.output);
  t.regex(await readFile(join(folder, "nexcage.xml"), "utf8"), /<testcase classname="pve1" name="web-2"/);
  const applied = await run("nexcage apply");
  t.is(applied.exitCode, 0, applied.output);
  t.is((await run("nexcage drift")).exitCode, 0);
  await bed.host("pve1").exec([join(dist, "nexcage-agent"), "stop", "web-2"]);
  t.is((await run("nexcage drift")).exitCode, 2);
});
