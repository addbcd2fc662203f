import { proxmoxTest } from "../e2e/host-test.ts";
import { goOn, killPaused, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, small, traces } from "./bed.ts";

const data = { type: "volume", source: "data", target: "/var/lib/db", size: "16m" };

/** A guest that replaces the one before, since this cannot change. */
const unlike = (fields: object = {}) =>
  guest({ volumes: [data], proxmox: { ...small, unprivileged: false }, ...fields });

proxmoxTest(
  "a volume keeps its files while it is applied again, grown, replaced around, detached and attached",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeProxmox();
    const apply = async (fields: object, fleet: object = {}) => {
      await bed.writeFleet({ db: guest(fields) }, fleet);
      const { exitCode, stdout, stderr } = await bed.nexcage("fleet", "apply", "--yes");
      t.is(exitCode, 0, stdout + stderr);
      await requireNothingToDo(t, bed);
    };
    const read = async () =>
      (await bed.nexcage("fleet", "exec", "db", "--", "cat", "/var/lib/db/file")).stdout;
    const pidOf = async () => JSON.parse((await bed.nexcage("fleet", "state", "db")).stdout).pid;

    await apply({ volumes: ["data:/var/lib/db"] }, { volumes: { data: { size: "16m" } } });
    t.regex(
      await onHost(bed, "cat /etc/pve/lxc/100.conf"),
      /^mp0: local:100\/vm-100-disk-1.raw,mp=\/var\/lib\/db,size=16M$/m,
    );
    await bed.nexcage("fleet", "exec", "db", "--", "sh", "-c", "echo kept >/var/lib/db/file");

    const before = await pidOf();
    await apply({
      volumes: [
        { ...data, size: "32m" },
        { ...data, source: "logs", target: "/logs" },
      ],
    });
    t.is(await pidOf(), before, "it grows, and gets another one, while it runs");
    t.regex(await onHost(bed, "pct df 100"), /mp0 .*\/var\/lib\/db\nmp1 .*\/logs/);
    t.regex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /^mp0: .*size=32M$/m);
    t.is((await traces(bed)).volumes.length, 3);

    await bed.writeFleet({ db: guest({ volumes: [data] }) });
    const shrunk = await bed.nexcage("fleet", "apply", "--yes");
    t.is(shrunk.exitCode, 9, shrunk.stdout);
    t.regex(shrunk.stdout, /volumes\.data cannot shrink: 32 MiB → 16 MiB/);

    const large = { ...data, size: "32m" };
    await apply({ volumes: [large], proxmox: { ...small, unprivileged: false } });
    t.is(await read(), "kept", "what replaces the guest has its volume");
    const config = await onHost(bed, "cat /etc/pve/lxc/101.conf");
    t.regex(config, /^mp0: local:101\/vm-101-disk-\d.raw,mp=\/var\/lib\/db,size=32M$/m);
    t.regex(config, /^unused0: local:101\/vm-101-disk-\d.raw$/m, "what is not wanted any more is detached");

    await apply({ volumes: [{ ...large, target: "/srv" }], proxmox: { ...small, unprivileged: false } });
    t.is((await bed.nexcage("fleet", "exec", "db", "--", "cat", "/srv/file")).stdout, "kept");
    await apply({ proxmox: { ...small, unprivileged: false } });
    await apply({ volumes: [large], proxmox: { ...small, unprivileged: false } });
    t.is(await read(), "kept", "detached, and attached again");
    t.is((await traces(bed)).volumes.length, 3, "nothing was made twice");

    await bed.writeFleet({}, { prune: true });
    t.regex(
      (await bed.nexcage("fleet", "plan")).stdout,
      /delete +db +left the fleet · lost with it: 1 volume \(data\)/,
    );
    t.is((await bed.nexcage("fleet", "apply", "--yes")).exitCode, 0);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  },
);

proxmoxTest(
  "a replacement that fails after it has got the volume gives it back, with its files",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ db: guest({ volumes: [data] }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await bed.nexcage("fleet", "exec", "db", "--", "sh", "-c", "echo kept >/var/lib/db/file");
    await bed.writeFleet({ db: unlike({ command: ["/no/such"], volumes: [{ ...data, target: "/srv" }] }) });
    const failed = await bed.nexcage("fleet", "apply", "--yes");
    t.is(failed.exitCode, 1, failed.stdout);
    await bed.writeFleet({ db: guest({ volumes: [data] }) });
    await requireNothingToDo(t, bed);
    t.is((await bed.nexcage("fleet", "exec", "db", "--", "cat", "/var/lib/db/file")).stdout, "kept");
    t.deepEqual((await traces(bed)).guests, ["100"]);
  },
);

for (const stage of ["create.written", "start.early"] as const)
  proxmoxTest(
    `killed at ${stage} of a replacement, the same apply finishes, and the volume has its files`,
    async (t) => {
      t.timeout(240_000);
      await using bed = await makeProxmox();
      const host = bed.host("pve1");
      await bed.writeFleet({ db: guest({ volumes: [data] }) });
      t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
      await bed.nexcage("fleet", "exec", "db", "--", "sh", "-c", "echo kept >/var/lib/db/file");
      await bed.writeFleet({ db: unlike() });
      await turnKnobs(host, { pauseAt: [stage] });
      const running = bed.start(["fleet", "apply", "--yes"]);
      const paused = await waitForPause(host, stage);
      await turnKnobs(host, {});
      await host.exec(["pkill", "-KILL", "-f", "serve --stdio"]);
      await killPaused(host, paused, "both");
      await goOn(host, stage);
      const { exitCode, stdout, stderr } = await running;
      t.is(exitCode, 0, `${stdout}${stderr}`);
      t.is((await bed.nexcage("fleet", "exec", "db", "--", "cat", "/var/lib/db/file")).stdout, "kept");
      const left = await traces(bed);
      t.is(left.guests.length, 1);
      t.is(left.volumes.length, 2, left.volumes.join());
      await requireNothingToDo(t, bed);
    },
  );

proxmoxTest(
  "a volume that is at neither guest, when pct was killed, keeps anything from being removed",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeProxmox();
    const host = bed.host("pve1");
    await bed.writeFleet({ db: guest({ volumes: [data] }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await bed.writeFleet({ db: unlike() });
    await turnKnobs(host, { pauseAt: ["move.renamed"] });
    const running = bed.start(["fleet", "apply", "--yes"]);
    const paused = await waitForPause(host, "move.renamed");
    // As after the first of its two writes.
    await onHost(bed, "sed -i '/^mp0:/d' /etc/pve/lxc/100.conf");
    await turnKnobs(host, {});
    await killPaused(host, paused, "both");
    await goOn(host, "move.renamed");
    const { exitCode, stdout } = await running;
    t.is(exitCode, 1, String(stdout));
    t.deepEqual((await traces(bed)).guests, ["100", "101"]);
    t.is((await traces(bed)).volumes.length, 3);
    const again = await bed.nexcage("fleet", "apply", "--yes");
    t.is(again.exitCode, 1, "a person is needed");
    t.is((await traces(bed)).volumes.length, 3);
  },
);
