import type { Bed } from "../e2e/bed.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { type Stage, turnKnobs } from "../proxmox/nodes.ts";
import { cutOff, guest, makeProxmox, onHost, requireNothingToDo, small, traces } from "./bed.ts";

/* A snapshot before a container is changed in place, on a storage that has such. */

const db = (memory: string, fields: object = {}): object =>
  guest({
    resources: { memory },
    proxmox: { ...small, storage: "btr" },
    update: { snapshot: "required" },
    ...fields,
  });

async function makeBtrfs(): Promise<Bed> {
  const bed = await makeProxmox();
  await onHost(
    bed,
    "mkdir -p /var/lib/vz/btr/images; printf '\\nbtrfs: btr\\n\\tpath /var/lib/vz/btr\\n\\tcontent rootdir,images\\n' >>/etc/pve/storage.cfg",
  );
  return bed;
}

/** The names of the guest's snapshots, as pct lists them, in their order. */
async function snapshotsOf(bed: Bed, vmid = "100"): Promise<string[]> {
  const listed = await onHost(bed, `pct listsnapshot ${vmid}`);
  return listed
    .split("\n")
    .flatMap((line) => /-> (\S+)/.exec(line)?.slice(1) ?? [])
    .slice(0, -1);
}

async function conf(bed: Bed): Promise<string> {
  return await onHost(bed, "cat /etc/pve/lxc/100.conf");
}

proxmoxTest(
  "before each change in place a snapshot is taken; the last one stays, and a person goes back by pct rollback",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeBtrfs();
    await bed.writeFleet({ db: db("64m") });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    t.deepEqual(await snapshotsOf(bed), [], "none where it is made");
    await onHost(bed, "pct exec 100 -- sh -c 'echo before >/file'; pct snapshot 100 theirs");

    await bed.writeFleet({ db: db("96m") });
    const hot = await bed.nexcage("fleet", "apply");
    t.is(hot.exitCode, 0, hot.stdout + hot.stderr);
    const [theirs, first = "", ...none] = await snapshotsOf(bed);
    t.is(theirs, "theirs");
    t.regex(first, /^nexcage_[0-9a-f]{12}$/);
    t.deepEqual(none, []);
    const text = await conf(bed);
    t.regex(
      text,
      new RegExp(`\\[${first}\\]\\n#before nexcage changed it[\\s\\S]*^memory: 64$[\\s\\S]*^snaptime: `, "m"),
    );
    t.notRegex(text, /snapstate|^lock:/m);
    await requireNothingToDo(t, bed);

    await onHost(bed, "pct exec 100 -- sh -c 'echo between >/file'");
    await bed.writeFleet({ db: db("96m", { hostname: "other" }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0, "with a restart");
    const [, second = "", ...rest] = await snapshotsOf(bed);
    t.deepEqual(rest, [], "the earlier one of ours is gone");
    t.not(second, first);

    await onHost(bed, `pct exec 100 -- sh -c 'echo after >/file'; pct rollback 100 ${second} --start 1`);
    t.is(await onHost(bed, "pct exec 100 -- cat /file"), "between");
    t.notRegex((await conf(bed)).split(/^\[/m)[0] ?? "", /hostname: other/);
    await bed.writeFleet({ db: db("96m") });
    const back = await bed.nexcage("fleet", "apply");
    t.is(back.exitCode, 0, back.stdout + back.stderr);
    await requireNothingToDo(t, bed);
    t.is((await bed.nexcage("fleet", "delete", "db", "--yes")).exitCode, 0);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  },
);

proxmoxTest(
  "where Proxmox can make none, required refuses before anything is changed, and auto goes on and says so",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeBtrfs();
    await onHost(bed, "mkdir -p /srv/data");
    const names = { plain: { proxmox: small }, bound: { volumes: ["/srv/data:/data"] } };
    const fleet = (memory: string, snapshot: string): Record<string, object> =>
      Object.fromEntries(
        Object.entries(names).map(([name, fields]) => [
          name,
          db(memory, { ...fields, update: { snapshot } }),
        ]),
      );
    await bed.writeFleet(fleet("64m", "required"));
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    const before = await onHost(bed, "cat /etc/pve/lxc/*.conf");

    await bed.writeFleet(fleet("96m", "required"));
    const refused = await bed.nexcage("fleet", "apply");
    t.is(refused.exitCode, 9, refused.stdout + refused.stderr);
    t.regex(refused.stdout, /plain@pve1: REFUSED: .* must have a snapshot first: .* is on local \(dir\)/);
    t.regex(
      refused.stdout,
      /bound@pve1: REFUSED: .* on btr \(btrfs\), and has \/srv\/data of the host mounted/,
    );
    t.regex(refused.stdout, /or say update: \{snapshot: auto\}/);
    t.is(await onHost(bed, "cat /etc/pve/lxc/*.conf"), before);

    await turnKnobs(bed.host("pve1"), { delayMs: 300 });
    await bed.writeFleet(fleet("96m", "auto"));
    const went = await bed.nexcage("fleet", "apply");
    t.is(went.exitCode, 0, went.stdout + went.stderr);
    t.regex(went.stderr, /plain@pve1: updating: without a snapshot: Proxmox can make no snapshot of guest/);
    t.is(await onHost(bed, "grep -h '^memory' /etc/pve/lxc/*.conf | sort -u"), "memory: 96");
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest("a change that fails leaves no snapshot of its own, and the earlier one", async (t) => {
  t.timeout(240_000);
  await using bed = await makeBtrfs();
  await bed.writeFleet({ db: db("64m") });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await bed.writeFleet({ db: db("96m") });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  const earlier = await snapshotsOf(bed);
  t.is(earlier.length, 1);

  const volumes = [{ type: "volume", source: "data", target: "/data", size: "64m" }];
  await bed.writeFleet({ db: db("128m", { volumes }) });
  await turnKnobs(bed.host("pve1"), { fullStorages: ["btr"] });
  const failed = await bed.nexcage("fleet", "apply");
  t.is(failed.exitCode, 1, failed.stdout + failed.stderr);
  t.deepEqual(await snapshotsOf(bed), earlier);
  t.regex((await conf(bed)).split(/^\[/m)[0] ?? "", /^memory: 96$/m);
});

proxmoxTest(
  "what is replaced hands over its volumes, which a snapshot of ours does not hold fast",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeBtrfs();
    const volumes = [{ type: "volume", source: "data", target: "/data", size: "64m" }];
    await bed.writeFleet({ db: db("64m", { volumes }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await onHost(bed, "pct exec 100 -- sh -c 'echo kept >/data/file'");
    await bed.writeFleet({ db: db("96m", { volumes }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    t.is((await snapshotsOf(bed)).length, 1);
    const proxmox = { ...small, storage: "btr", unprivileged: false };
    await bed.writeFleet({ db: db("96m", { volumes, proxmox }) });
    const replaced = await bed.nexcage("fleet", "apply", "--yes");
    t.is(replaced.exitCode, 0, replaced.stdout + replaced.stderr);
    t.is(await onHost(bed, "pct exec 101 -- cat /data/file"), "kept");
    t.deepEqual(await snapshotsOf(bed, "101"), []);
  },
);

const kills: Stage[] = ["snapshot.prepared", "snapshot.volumes", "set.volume", "delsnapshot.prepared"];
for (const stage of kills)
  proxmoxTest(
    `agent, pct and worker killed at ${stage}: the same apply leaves one whole snapshot`,
    async (t) => {
      t.timeout(240_000);
      await using bed = await makeBtrfs();
      await bed.writeFleet({ db: db("64m") });
      t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
      await bed.writeFleet({ db: db("96m") });
      t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
      const [earlier] = await snapshotsOf(bed);

      await bed.writeFleet({ db: db("128m", stage === "set.volume" ? { volumes: [volume] } : {}) });
      const who = stage === "set.volume" ? "itself" : "both"; // `set` is no task
      const { exitCode, stdout, stderr } = await cutOff(bed, stage, who, "fleet", "apply");
      t.is(exitCode, 0, `${stdout}${stderr}`);
      const left = await snapshotsOf(bed);
      t.is(left.length, 1, left.join());
      t.not(left[0], earlier);
      const text = await conf(bed);
      t.notRegex(text, /snapstate|^lock:/m);
      t.regex(text, /^memory: 128$[\s\S]*^\[nexcage_[\s\S]*^memory: 96$/m);
      await requireNothingToDo(t, bed);
      t.is((await bed.nexcage("fleet", "delete", "db", "--yes")).exitCode, 0);
      t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
    },
  );

const volume = { type: "volume", source: "data", target: "/data", size: "64m" };
