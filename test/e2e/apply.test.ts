import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeBed } from "./bed.ts";
import { hostTest } from "./host-test.ts";

const sleeper = { command: ["sleep", "1000"], stop_grace_period: "0s" };

hostTest("a fleet is planned, applied, found unchanged, edited, and applied again", async (t) => {
  t.timeout(180_000);
  await using bed = await makeBed();
  const { nexcage } = bed;
  await bed.writeFleet(
    {
      web: {
        ...sleeper,
        replicas: 3,
        placement: { max_per_host: 1 },
        resources: { memory: "64m", pids: 20 },
      },
      db: { ...sleeper, host: "node1" },
      worker: { ...sleeper, host: "node2", depends_on: ["db"] },
    },
    { prune: true },
  );

  const planned = await nexcage("fleet", "plan", "--detailed-exitcode");
  t.is(planned.exitCode, 2, planned.stderr);
  t.regex(planned.stdout, /5 to create/);

  const applied = await nexcage("fleet", "apply");
  t.is(applied.exitCode, 0, applied.stderr + applied.stdout);
  for (const name of ["node1", "node2", "node3"]) {
    const { stdout } = await bed.host(name).exec(["ps", "-eo", "args"]);
    t.regex(stdout, /^sleep 1000$/m, `${name} runs a container's process`);
  }

  const again = await nexcage("fleet", "apply");
  t.is(again.exitCode, 0);
  t.regex(again.stdout, /nothing to do/i);

  // Another command for one, one more, one less, one somewhere else.
  await bed.writeFleet(
    {
      web: {
        ...sleeper,
        command: ["sleep", "2000"],
        replicas: 3,
        placement: { max_per_host: 1 },
        resources: { memory: "64m", pids: 20 },
      },
      db: { ...sleeper, host: "node3" },
      cache: { ...sleeper, host: "node2" },
    },
    { prune: true },
  );
  const replanned = JSON.parse((await nexcage("fleet", "plan", "-o", "json")).stdout);
  const changes = replanned.changes
    .filter(({ kind }: { kind: string }) => kind !== "keep")
    .map(({ kind, id, host }: { kind: string; id: string; host: string }) => `${kind} ${id}@${host}`)
    .sort();
  t.deepEqual(changes, [
    "create cache@node2",
    "create db@node3",
    "delete db@node1",
    "delete worker@node2",
    "replace web-1@node2",
    "replace web-2@node1",
    "replace web-3@node3",
  ]);

  const refused = await nexcage("fleet", "apply");
  t.is(refused.exitCode, 10, "without a terminal, destroying needs --yes");
  t.regex(refused.stderr, /CONFIRMATION_NEEDED|--yes/);

  const reapplied = await nexcage("fleet", "apply", "--yes", "-o", "json");
  t.is(reapplied.exitCode, 0, reapplied.stderr + reapplied.stdout);
  const results = JSON.parse(reapplied.stdout);
  t.is(reapplied.stderr, "");
  for (const { id, host, change, state } of results.containers) {
    if (change === "delete") continue;
    t.is(state.status, "running", `${id}@${host}`);
    t.is(state.id, id);
    const { exitCode } = await bed.host(host).exec(["test", "-d", `/proc/1/root`]);
    t.is(exitCode, 0);
  }

  const status = await nexcage("fleet", "status", "-o", "json");
  const rows = JSON.parse(status.stdout).containers.map(
    (row: { id: string; host: string; state: { status: string } }) =>
      `${row.id}@${row.host} ${row.state.status}`,
  );
  t.deepEqual(rows, [
    "cache@node2 running",
    "db@node3 running",
    "web-1@node2 running",
    "web-2@node1 running",
    "web-3@node3 running",
  ]);

  const deleted = await nexcage("fleet", "delete", "*", "--yes");
  t.is(deleted.exitCode, 0, deleted.stderr + deleted.stdout);
  for (const name of ["node1", "node2", "node3"]) {
    const host = bed.host(name);
    t.notRegex((await host.exec(["ps", "-eo", "args"])).stdout, /sleep [12]000/);
    t.is(
      (
        await host.exec([
          "find",
          "/run/nexcage",
          "/var/lib/nexcage/containers",
          "/var/lib/nexcage/bundles",
          "-mindepth",
          "1",
          "-not",
          "-path",
          "/run/nexcage/.crun*",
          "-not",
          "-path",
          "/run/nexcage/.last-look",
        ])
      ).stdout.trim(),
      "",
    );
  }
});

hostTest("exec passes stdin, stdout, stderr and the exit code; logs name their containers", async (t) => {
  t.timeout(60_000);
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({
    web: { command: ["sh", "-c", "echo out; echo err >&2; exec sleep 1000"], replicas: 2 },
  });
  const applied = await bed.nexcage("fleet", "apply");
  t.is(applied.exitCode, 0, applied.stderr + applied.stdout);

  const cat = await bed.start(["fleet", "exec", "web-1", "--", "sh", "-c", "cat; echo e >&2; exit 3"], {
    input: "hello\n",
  });
  t.is(cat.exitCode, 3, String(cat.stderr));
  t.is(cat.stdout, "hello");
  t.is(cat.stderr, "e");

  const missing = await bed.nexcage("fleet", "exec", "web-1", "--", "no-such-program");
  t.is(missing.exitCode, 127, missing.stderr);

  const logs = await bed.nexcage("fleet", "logs", "web-*");
  t.is(logs.stdout.split("\n").sort().join("\n"), "web-1 | out\nweb-2 | out");
  t.is(logs.stderr.split("\n").sort().join("\n"), "web-1 | err\nweb-2 | err");
});

hostTest("a container that exits at once is told with its exit code and its last lines", async (t) => {
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({ bad: { command: ["sh", "-c", "echo no config; exit 7"] }, good: sleeper });
  const applied = await bed.nexcage("fleet", "apply");
  t.is(applied.exitCode, 3, applied.stdout);
  t.regex(
    applied.stdout,
    /bad@node1: CONTAINER_EXITED: bad on node1 ended right after its start with exit code 7/,
  );
  t.regex(applied.stdout, /\| no config/);
  const status = await bed.nexcage("fleet", "status");
  t.regex(status.stdout, /bad\s+node1\s+running\s+stopped \(exit code 7\)/);
});

hostTest("what the files get wrong is told with its place, before any host is touched", async (t) => {
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({ web: { ...sleeper, memroy: "64m" } });
  const { exitCode, stderr } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 64);
  t.regex(stderr, /fleet\.yaml:\d+:\d+: .*memroy/);
  t.notRegex(stderr, /\n\s+at /);
  const text = await readFile(join(bed.folder, "fleet.yaml"), "utf8");
  await writeFile(join(bed.folder, "fleet.yaml"), `${text}\n  web: {}\n`);
  t.is((await bed.nexcage("inventory", "check")).exitCode, 64);
});
