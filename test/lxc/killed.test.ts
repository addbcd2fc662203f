import test from "ava";
import { lazy } from "../../agent/lazy.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { goOn, killPaused, type Stage, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, traces } from "./bed.ts";

/* Each test ends with nothing of it left, so that one node is enough. */
const haveProxmox = lazy(makeProxmox);
test.after.always(() => haveProxmox[Symbol.asyncDispose]());

/** Where pct was when it was killed, alone or with its worker; a worker alone goes on, or dies of what it prints. */
const kills: { stage: Stage; who: "pct" | "both" }[] = [
  { stage: "create.volume", who: "both" },
  { stage: "create.unpacking", who: "both" },
  { stage: "create.unpacking", who: "pct" },
  { stage: "create.written", who: "both" },
  { stage: "start.early", who: "both" },
  { stage: "start.starting", who: "both" },
];
for (const { stage, who } of kills) {
  const killed = who === "both" ? "agent, pct and worker" : "agent and pct";
  proxmoxTest(
    `${killed} killed at ${stage}: the same apply finishes, with one guest and nothing beside it`,
    async (t) => {
      t.timeout(180_000);
      const bed = await haveProxmox();
      const host = bed.host("pve1");
      await bed.writeFleet({ db: guest() });
      await turnKnobs(host, { pauseAt: [stage] });
      const running = bed.start(["fleet", "apply"]);
      const paused = await waitForPause(host, stage);
      await turnKnobs(host, {});
      await host.exec(["pkill", "-KILL", "-f", "serve --stdio"]);
      await killPaused(host, paused, who);
      await goOn(host, stage);
      const { exitCode, stdout, stderr } = await running;
      t.is(exitCode, 0, `${stdout}${stderr}`);
      const left = await traces(bed);
      t.is(left.guests.length, 1, await onHost(bed, "pct list"));
      t.is(left.volumes.length, 1, left.volumes.join());
      await requireNothingToDo(t, bed);
      t.is((await bed.nexcage("fleet", "delete", "db", "--yes")).exitCode, 0);
      t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
    },
  );
}

proxmoxTest(
  "agent, pct and worker killed in the middle of a destroy: the same command finishes",
  async (t) => {
    t.timeout(180_000);
    const bed = await haveProxmox();
    const host = bed.host("pve1");
    await bed.writeFleet({ db: guest() });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await turnKnobs(host, { pauseAt: ["destroy.volumes"] });
    const running = bed.start(["fleet", "delete", "db", "--yes"]);
    const paused = await waitForPause(host, "destroy.volumes");
    await turnKnobs(host, {});
    await host.exec(["pkill", "-KILL", "-f", "serve --stdio"]);
    await killPaused(host, paused, "both");
    await goOn(host, "destroy.volumes");
    const { exitCode, stdout, stderr } = await running;
    t.is(exitCode, 0, `${stdout}${stderr}`);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  },
);
