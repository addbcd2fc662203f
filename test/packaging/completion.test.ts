import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { dist } from "../dist.ts";
import { makeBed } from "../e2e/bed.ts";
import { hostTest } from "../e2e/host-test.ts";
import { complete, isInstalled, type ShellName } from "./shells.ts";

const cases: [line: string, offered: string[]][] = [
  ["nexcage fl", ["fleet"]],
  ["nexcage compl", ["completion"]], // and not the hidden one
  ["nexcage fleet st", ["start", "state", "status", "stop"]],
  ["nexcage fleet --li", ["--limit"]],
  ["nexcage fleet plan --de", ["--detailed-exitcode"]],
  ["nexcage fleet logs we", ["web", "web-1", "web-2"]],
  ["nexcage fleet logs -f we", ["web", "web-1", "web-2"]],
  ["nexcage fleet status -f other.yaml ", ["cache"]],
  ["nexcage fleet status --limit pve1 d", ["db"]],
  ["nexcage fleet apply --limit pr", ["prod"]],
  ["nexcage fleet apply --limit pve1,p", ["pve1,prod", "pve1,pve1", "pve1,pve2"]],
  ["nexcage fleet apply -o ", ["json", "text"]],
  ["nexcage fleet apply --forks ", []],
  ["nexcage fleet exec web-1 -- d", []],
  ["nexcage fleet adopt ", ["pve1", "pve2"]],
  ["nexcage fleet adopt pve1 ", []],
  ["nexcage inventory explain pve", ["pve1", "pve2"]],
  ["nexcage schema ", ["fleet", "inventory"]],
  ["nexcage-agent sto", ["stop"]],
  ["nexcage-agent --root /x sto", ["stop"]],
  ["nexcage-agent state ", ["db", "web-1"]],
  ["nexcage-agent kill --name w", ["web-1"]],
  ["nexcage-agent run --runtime c", ["crun"]],
];

const more: Record<ShellName, typeof cases> = {
  bash: [
    ["nexcage fleet apply --limit=pr", ["prod"]], // readline has the word from = on
    ["nexcage fleet plan -f inv", ["inventory.yaml"]],
    ["nexcage fleet bootstrap --agent fo", ["folder"]],
  ],
  zsh: [["nexcage fleet apply --limit=pr", ["--limit=prod"]]],
  fish: [
    ["nexcage fleet apply --limit=pr", ["--limit=prod"]],
    ["nexcage fleet plan -f inv", ["inventory.yaml"]],
    ["nexcage fleet bootstrap --agent fo", ["folder/"]],
  ],
};

for (const shell of ["bash", "zsh", "fish"] as const) {
  const there = isInstalled(shell);
  const title = `${shell} completes commands, options, values, hosts and containers`;
  if (there)
    test(title, async (t) => {
      const where = await makeFiles(t);
      const all = [...cases, ...more[shell]];
      const offers = await complete(
        shell,
        all.map(([line]) => line),
        where,
      );
      for (const [index, [line, offered]] of all.entries()) t.deepEqual(offers[index], offered, line);
    });
  else test.skip(`${title} (${shell} is not installed)`, () => {});

  test(`nexcage completion ${shell} prints the script that is installed, and so does the agent`, async (t) => {
    for (const program of ["nexcage", "nexcage-agent"]) {
      const { stdout } = await execa(join(dist, program), ["completion", shell]);
      const { stdout: installed } = await execa("cat", [join(dist, "share", installedAs[shell](program))]);
      t.is(stdout, installed);
    }
  });
}

hostTest(
  "what the last look at the hosts has seen is completed too, where a command takes it, and while the files are broken",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBed(["node1", "node2"]);
    const sleeper = { command: ["/bin/sleep", "1000"], stop_grace_period: "0s" };
    const db = { ...sleeper, host: "node1" };
    const others = { ...sleeper, host: "node2" };
    await bed.writeFleet({ others }, { name: "other" });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await bed.writeFleet({ web: { ...sleeper, host: "node2" }, db });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await bed.writeFleet({ web: { ...sleeper, host: "node2" } });
    t.is((await bed.nexcage("fleet", "status", "--limit", "node2")).exitCode, 0, "node1 is as it was seen");

    const fleet = await readFile(join(bed.folder, "fleet.yaml"), "utf8");
    const offers = async (expected: [line: string, offered: string[]][]) => {
      const lines = expected.map(([line]) => line);
      const where = { cwd: bed.folder, environment: { XDG_CACHE_HOME: join(bed.folder, "cache") } };
      for (const shell of (["bash", "zsh", "fish"] as const).filter(isInstalled)) {
        const offered = await complete(shell, lines, where);
        for (const [index, [line, words]] of expected.entries())
          t.deepEqual(offered[index], words, `${shell}: ${line}`);
      }
    };
    await offers([
      ["nexcage fleet logs ", ["db", "web"]],
      ["nexcage fleet logs --file inventory.yaml ", []],
      ["nexcage fleet plan ", ["web"]],
    ]);
    const names = join(bed.folder, "cache/nexcage/names");
    const [file = "", ...more] = await readdir(names);
    t.deepEqual(more, []);
    t.is((await stat(join(names, file))).mode & 0o777, 0o600);
    t.deepEqual(JSON.parse(await readFile(join(names, file), "utf8")), {
      fleet: "shop",
      hosts: [
        ["node1", ["db"]],
        ["node2", ["web"]],
      ],
    });

    await writeFile(join(bed.folder, "fleet.yaml"), "containers: [");
    await offers([
      ["nexcage fleet exec ", ["db", "web"]],
      ["nexcage inventory explain ", ["node1", "node2"]],
    ]);
    await writeFile(join(bed.folder, "fleet.yaml"), fleet);
    t.is((await bed.nexcage("fleet", "delete", "db", "--yes")).exitCode, 0);
    await offers([["nexcage fleet logs ", ["web"]]]);

    await rm(join(bed.folder, "cache/nexcage"), { recursive: true });
    await writeFile(join(bed.folder, "cache/nexcage"), "no folder");
    const status = await bed.nexcage("fleet", "state", "web");
    t.like(status, { exitCode: 0, stderr: "" }, "what cannot be kept is no error");
    await offers([["nexcage fleet logs ", ["web"]]]);
  },
);

test("names are completed in silence, and not at all, where the files are missing or wrong", async (t) => {
  const { cwd } = await makeFiles(t);
  const run = async (...words: string[]) =>
    await execa(join(dist, "nexcage"), ["complete", ...words], { cwd, reject: false });
  for (const words of [
    ["hosts", "-f", "missing.yaml"],
    ["containers", "-f", "wrong.yaml"],
  ])
    t.like(await run(...words), { stdout: "", stderr: "", exitCode: 0 });
  t.like(await run("hosts", "groups"), { stdout: "pve1\npve2\nall\nprod", exitCode: 0 });
});

const installedAs: Record<ShellName, (program: string) => string> = {
  bash: (program) => `bash-completion/completions/${program}`,
  zsh: (program) => `zsh/site-functions/_${program}`,
  fish: (program) => `fish/vendor_completions.d/${program}.fish`,
};

async function makeFiles(t: ExecutionContext) {
  const cwd = await mkdtemp(join(tmpdir(), "nexcage-completion-"));
  t.teardown(() => rm(cwd, { recursive: true }));
  const hosts = (more = "") =>
    `apiVersion: nexcage/v1\nkind: Inventory\nhosts: {pve1: {}, pve2: {}}\n${more}`;
  const fleet = (containers: string) =>
    `apiVersion: nexcage/v1\nkind: Fleet\nname: shop\ncontainers:\n${containers}`;
  await writeFile(join(cwd, "inventory.yaml"), hosts("groups: {prod: {hosts: [pve1]}}\n"));
  await writeFile(
    join(cwd, "fleet.yaml"),
    fleet("  db: {bundle: /srv/db, host: pve1}\n  web: {bundle: /srv/web, replicas: 2}\n"),
  );
  await writeFile(
    join(cwd, "other.yaml"),
    `${hosts()}---\n${fleet("  cache: {bundle: /srv/cache, host: pve2}\n")}`,
  );
  await writeFile(join(cwd, "wrong.yaml"), `${hosts()}---\n${fleet("  cache: {bundel: /srv/cache}\n")}`);
  await mkdir(join(cwd, "folder"));
  const records = join(cwd, "lib/containers");
  await mkdir(records, { recursive: true });
  for (const id of ["db", "web-1"]) await writeFile(join(records, `${id}.json`), "{}");
  return { cwd, environment: { NEXCAGE_LIB_DIR: join(cwd, "lib") } };
}
