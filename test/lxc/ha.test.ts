import test from "ava";
import { haArguments, parseHaResources } from "../../agent/backends/lxc/ha.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, small } from "./bed.ts";

const resources =
  "ct: 100\n\tmax_restart 3\n\tstate started\n\nvm: 101\n\tstate started\n\nct: 102\n\tgroup a\n";

test("the guests that HA knows are read from its file", (t) => {
  t.deepEqual(
    [...parseHaResources(resources)],
    [
      [100, { state: "started", maxRestart: 3 }],
      [102, { state: "started" }],
    ],
  );
});

const started = { state: "started", maxRestart: 1, maxRelocate: 1 } as const;
const cases: {
  what: string;
  wanted: Parameters<typeof haArguments>[1];
  facts: Parameters<typeof haArguments>[2];
  args: string | undefined;
}[] = [
  {
    what: "one that does not run yet is added as stopped",
    wanted: { state: "started", maxRestart: 3 },
    facts: { there: undefined, isRunning: false },
    args: "add ct:100 --state stopped --max_restart 3 --max_relocate 1",
  },
  {
    what: "one that runs is added as started",
    wanted: { state: "started" },
    facts: { there: undefined, isRunning: true },
    args: "add ct:100 --state started --max_restart 1 --max_relocate 1",
  },
  {
    what: "what is as it should be is left alone",
    wanted: { state: "started" },
    facts: { there: started, isRunning: true },
    args: undefined,
  },
  {
    what: "what is no more said is Proxmox's own again",
    wanted: { state: "started" },
    facts: { there: { ...started, maxRestart: 5 }, isRunning: true },
    args: "set ct:100 --state started --max_restart 1 --max_relocate 1",
  },
  {
    what: "ignored is ignored, running or not",
    wanted: { state: "ignored" },
    facts: { there: started, isRunning: true },
    args: "set ct:100 --state ignored --max_restart 1 --max_relocate 1",
  },
  {
    what: "it is taken out",
    wanted: undefined,
    facts: { there: started, isRunning: true },
    args: "remove ct:100",
  },
];
for (const { what, wanted, facts, args } of cases)
  test(`HA: ${what}`, (t) => {
    t.is(haArguments(100, wanted, facts)?.join(" "), args);
  });

proxmoxTest(
  "a guest that HA manages is started, stopped, changed and removed through ha-manager",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeProxmox();
    const config = async (): Promise<string> => await onHost(bed, "ha-manager config");
    const managed = (ha: object) => guest({ proxmox: { ...small, ha } });
    await bed.writeFleet({ db: managed({ max_restart: 3 }) });
    const made = await bed.nexcage("fleet", "apply");
    t.is(made.exitCode, 0, made.stdout + made.stderr);
    t.is(await config(), "ct:100\n\tstate started\n\tmax_restart 3\n\tmax_relocate 1");
    t.is(await onHost(bed, "pct status 100"), "status: running");
    await requireNothingToDo(t, bed);

    const stopped = await bed.nexcage("fleet", "stop", "db");
    t.is(stopped.exitCode, 0, stopped.stdout);
    t.is(await onHost(bed, "pct status 100"), "status: stopped");
    t.regex(await config(), /state stopped/);
    await bed.writeFleet({ db: managed({ max_restart: 2 }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    t.is(await config(), "ct:100\n\tstate started\n\tmax_restart 2\n\tmax_relocate 1");
    t.is(await onHost(bed, "pct status 100"), "status: running");
    await requireNothingToDo(t, bed);

    await bed.writeFleet({ db: guest() });
    const plan = await bed.nexcage("fleet", "plan");
    t.regex(plan.stdout, /update +db +proxmox\.ha changed · hot/);
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    t.is(await config(), "");
    t.is(await onHost(bed, "pct status 100"), "status: running");

    await onHost(bed, "ha-manager add ct:100 --state started");
    await bed.writeFleet({ db: guest({ resources: { memory: "64m" }, hostname: "database" }) });
    const restarted = await bed.nexcage("fleet", "apply");
    t.is(restarted.exitCode, 0, restarted.stdout);
    t.is(await config(), "ct:100\n\tstate started", "who put it there by hand keeps it there");
    t.is((await bed.nexcage("fleet", "delete", "db", "--yes")).exitCode, 0);
    t.is(await config(), "");
  },
);
