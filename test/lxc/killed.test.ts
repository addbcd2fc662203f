import { setTimeout } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { lazy } from "../../agent/lazy.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { goOn, type Killed, type Stage, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { cutOff, guest, makeProxmox, onHost, requireNothingToDo, traces } from "./bed.ts";

/* Each test ends with nothing of it left, so that one node is enough. */
const haveProxmox = lazy(makeProxmox);
test.after.always(() => haveProxmox[Symbol.asyncDispose]());

const volumes = [{ type: "volume", source: "data", target: "/data", size: "64m" }];

/** Applies a fleet with one container. */
async function apply(t: ExecutionContext, fields: object = {}): Promise<void> {
  const bed = await haveProxmox();
  await bed.writeFleet({ db: guest(fields) });
  const { exitCode, stdout, stderr } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 0, stdout + stderr);
}

/** The command that was cut off has ended well: so many volumes, nothing else, and nothing left to do. */
async function requireWhole(
  t: ExecutionContext,
  { exitCode, stdout, stderr }: Awaited<ReturnType<typeof cutOff>>,
  { volumes: count = 1 } = {},
): Promise<void> {
  const bed = await haveProxmox();
  t.is(exitCode, 0, stdout + stderr);
  const left = await traces(bed);
  t.is(left.guests.length, 1, await onHost(bed, "pct list"));
  t.is(left.volumes.length, count, left.volumes.join());
  t.deepEqual(
    left.loose.filter((name) => name.endsWith(".json")),
    [],
  );
  await requireNothingToDo(t, bed);
}

async function requireDeleted(t: ExecutionContext): Promise<void> {
  const bed = await haveProxmox();
  t.is((await bed.nexcage("fleet", "delete", "db", "--yes")).exitCode, 0);
  t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
}

/** A worker whose pct is killed goes on, or dies of what it prints. */
const killed = {
  agent: "agent alone",
  both: "agent, pct and worker",
  pct: "agent and pct",
  itself: "agent and pct, which does it itself,",
} satisfies Record<Killed | "agent", string>;

const creates: [Stage, keyof typeof killed][] = [
  ["create.volume", "both"],
  ["create.unpacking", "both"],
  ["create.unpacking", "pct"],
  ["create.unpacking", "agent"],
  ["create.written", "both"],
  ["start.early", "both"],
  ["start.starting", "both"],
  ["start.starting", "pct"],
  ["start.starting", "agent"],
];
for (const [stage, who] of creates)
  proxmoxTest(
    `${killed[who]} killed at ${stage}: the same apply finishes, with one guest and nothing beside it`,
    async (t) => {
      t.timeout(180_000);
      const bed = await haveProxmox();
      await bed.writeFleet({ db: guest() });
      await requireWhole(t, await cutOff(bed, stage, who, "fleet", "apply"));
      await requireDeleted(t);
    },
  );

for (const who of ["both", "pct", "agent"] as const)
  proxmoxTest(`${killed[who]} killed while a guest shuts down: the same stop finishes`, async (t) => {
    t.timeout(180_000);
    const bed = await haveProxmox();
    await apply(t);
    const { exitCode, stdout, stderr } = await cutOff(bed, "shutdown.waiting", who, "fleet", "stop", "db");
    t.is(exitCode, 0, stdout + stderr);
    t.is(await onHost(bed, "pct status 100"), "status: stopped");
    await requireDeleted(t);
  });

proxmoxTest(`${killed.itself} killed when a volume is made and has no name: it is freed`, async (t) => {
  t.timeout(180_000);
  const bed = await haveProxmox();
  await apply(t);
  await bed.writeFleet({ db: guest({ volumes }) });
  await requireWhole(t, await cutOff(bed, "set.volume", "itself", "fleet", "apply"), { volumes: 2 });
  t.regex(await onHost(bed, "pct exec 100 -- mount"), / on \/data /);
  await requireDeleted(t);
});

proxmoxTest("agent killed while pct makes a volume: pct names it, and it stays", async (t) => {
  t.timeout(180_000);
  const bed = await haveProxmox();
  const host = bed.host("pve1");
  await apply(t);
  await bed.writeFleet({ db: guest({ volumes }) });
  await turnKnobs(host, { pauseAt: ["set.volume"] });
  const running = bed.start(["fleet", "apply"]);
  await waitForPause(host, "set.volume");
  await turnKnobs(host, {});
  await host.exec(["pkill", "-KILL", "-f", "serve --stdio"]);
  await setTimeout(2_000); // the next agent is at it, and waits
  await goOn(host, "set.volume");
  await requireWhole(t, await running, { volumes: 2 });
  t.regex(await onHost(bed, "pct exec 100 -- mount"), / on \/data /);
  await requireDeleted(t);
});

proxmoxTest("a volume that cannot be mounted where it was made is not left behind", async (t) => {
  t.timeout(180_000);
  const bed = await haveProxmox();
  await apply(t);
  await turnKnobs(bed.host("pve1"), { apparmor: false });
  await bed.writeFleet({ db: guest({ volumes }) });
  const failed = await bed.nexcage("fleet", "apply");
  await turnKnobs(bed.host("pve1"), {});
  t.is(failed.exitCode, 1, failed.stdout + failed.stderr);
  t.is((await traces(bed)).volumes.length, 1);
  await apply(t, { volumes });
  t.is((await traces(bed)).volumes.length, 2);
  await requireDeleted(t);
});

proxmoxTest(
  `${killed.itself} killed when a read-only root has its folders made: nothing stays mounted`,
  async (t) => {
    t.timeout(180_000);
    const bed = await haveProxmox();
    await apply(t, { volumes, read_only: true });
    const more = [...volumes, { type: "bind", source: "/srv", target: "/srv" }];
    await bed.writeFleet({ db: guest({ volumes: more, read_only: true }) });
    const ended = await cutOff(bed, "mount.mounted", "itself", "fleet", "apply", "--yes");
    await requireWhole(t, ended, { volumes: 2 });
    await requireDeleted(t);
  },
);

const destroys: [Stage, keyof typeof killed][] = [
  ["destroy.early", "both"],
  ["destroy.volumes", "both"],
  ["destroy.volumes", "pct"],
  ["destroy.volumes", "agent"],
];
for (const [stage, who] of destroys)
  proxmoxTest(`${killed[who]} killed at ${stage}: the same delete finishes`, async (t) => {
    t.timeout(180_000);
    const bed = await haveProxmox();
    await apply(t);
    const { exitCode, stdout, stderr } = await cutOff(bed, stage, who, "fleet", "delete", "db", "--yes");
    t.is(exitCode, 0, stdout + stderr);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  });
