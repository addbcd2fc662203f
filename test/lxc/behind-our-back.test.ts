import { join } from "node:path";
import { proxmoxTest } from "../e2e/host-test.ts";
import { busyboxTemplate, goOn, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, traces } from "./bed.ts";

proxmoxTest(
  "what is destroyed, stopped, renamed or reconfigured between plan and apply is found as it is",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeProxmox();
    const host = bed.host("pve1");
    const names = ["gone", "off", "other", "more"];
    const fleet = (memory: string) =>
      Object.fromEntries(names.map((name) => [name, guest({ resources: { memory } })]));
    await bed.writeFleet(fleet("64m"));
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    const vmids = new Map<string, string>();
    for (const name of names)
      vmids.set(name, await onHost(bed, `grep -l '^hostname: ${name}$' /etc/pve/lxc/*.conf | tr -dc 0-9`));

    // The first change of the plan is held up: what happens meanwhile happens after the look.
    const after = { depends_on: ["first"], resources: { memory: "96m" } };
    await bed.writeFleet({
      first: guest(),
      ...Object.fromEntries(names.map((name) => [name, guest(after)])),
    });
    await turnKnobs(host, { pauseAt: ["create.unpacking"] });
    const running = bed.start(["fleet", "apply"]);
    await waitForPause(host, "create.unpacking");
    await turnKnobs(host, {});
    await onHost(
      bed,
      `pct destroy ${vmids.get("gone")} --force 1; pct stop ${vmids.get("off")}
       pct set ${vmids.get("other")} --hostname renamed; pct set ${vmids.get("more")} --memory 80 --tags mine`,
    );
    await goOn(host, "create.unpacking");
    const { exitCode, stdout } = await running;
    t.is(exitCode, 3, String(stdout));
    t.regex(String(stdout), /gone@pve1: CONTAINER_NOT_FOUND/);
    for (const name of ["off", "other", "more"])
      t.is(await onHost(bed, `grep '^memory' /etc/pve/lxc/${vmids.get(name)}.conf`), "memory: 96", name);

    const second = await bed.nexcage("fleet", "apply");
    t.is(second.exitCode, 0, second.stdout);
    t.regex(await onHost(bed, "pct list"), /(\d+ +running .*\n?){5}/);
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest("a number that somebody else takes between our choice and pct is left to them", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const host = bed.host("pve1");
  await bed.writeFleet({ db: guest() });
  await turnKnobs(host, { delayMs: 3_000 });
  const running = bed.start(["fleet", "apply"]);
  await onHost(bed, "until test -e /var/lib/nexcage/claims/db.json; do sleep 0.1; done; sleep 1");
  await onHost(bed, "printf 'hostname: theirs\\nmemory: 16\\n' >/etc/pve/lxc/100.conf");
  await turnKnobs(host, {});
  const { exitCode, stdout } = await running;
  t.is(exitCode, 0, String(stdout));
  t.is(await onHost(bed, "cat /etc/pve/lxc/100.conf"), "hostname: theirs\nmemory: 16");
  t.regex(await onHost(bed, "cat /etc/pve/lxc/101.conf"), /^hostname: db$/m);
  await requireNothingToDo(t, bed);
});

proxmoxTest("on a full storage a create says so and leaves nothing; with space it works", async (t) => {
  t.timeout(120_000);
  await using bed = await makeProxmox();
  const host = bed.host("pve1");
  await bed.writeFleet({ db: guest() });
  await turnKnobs(host, { fullStorages: ["local"] });
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 1);
  t.regex(stdout, /db@pve1: DISK_FULL: pct create 100: /);
  t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  await turnKnobs(host, {});
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
});

proxmoxTest(
  "warnings of pct, and lines that it cannot read, are no failures and stay where they are",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeProxmox();
    const host = bed.host("pve1");
    await turnKnobs(host, { warnings: ["vm 100 - unable to parse config: futureopt", "WARN: é"] });
    await bed.writeFleet({ db: guest({ resources: { memory: "64m" } }) });
    const first = await bed.nexcage("fleet", "apply");
    t.is(first.exitCode, 0, first.stdout);
    await onHost(bed, "sed -i '1i #Überwacht%3A 日本' /etc/pve/lxc/100.conf");
    await bed.writeFleet({ db: guest({ resources: { memory: "96m" } }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    t.regex(
      await onHost(bed, "pct config 100"),
      /^description: %C3%9Cberwacht%3A %E6%97%A5%E6%9C%AC%0Anexcage/m,
    );
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest("a pct that hangs is ended at its deadline with its worker, and says so", async (t) => {
  t.timeout(120_000);
  await using bed = await makeProxmox();
  const host = bed.host("pve1");
  await onHost(bed, `pct create 100 ${busyboxTemplate} --rootfs local:0.125`);
  const start = async () => {
    const script = join(import.meta.dirname, "run-pct.ts");
    const { stdout } = await host.exec([process.execPath, script, "3000", "start", "100"]);
    return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
  };
  const left = "ps -eo args | grep -c '[p]ct.* start 100\\|[t]ask UPID'";
  for (const knobs of [{ hang: ["pct start"] }, { pauseAt: ["start.early" as const] }]) {
    await turnKnobs(host, knobs);
    t.like(await start(), { code: "TIMED_OUT", message: "pct start 100 did not end within 3 s" });
    t.is(await onHost(bed, left), "0", JSON.stringify(knobs));
  }
  await turnKnobs(host, {});
  t.is((await start()).code, "OK", "nothing keeps its lock");
});

proxmoxTest("a task of somebody else's on a guest is waited for, and named", async (t) => {
  t.timeout(120_000);
  await using bed = await makeProxmox();
  const host = bed.host("pve1");
  await bed.writeFleet({ db: guest({ resources: { memory: "64m" } }) });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await turnKnobs(host, { pauseAt: ["shutdown.waiting"] });
  await onHost(bed, "pct shutdown 100 --forceStop 1 >/dev/null 2>&1 &");
  await waitForPause(host, "shutdown.waiting");
  await turnKnobs(host, {});
  await bed.writeFleet({ db: guest({ resources: { memory: "96m" } }) });
  const running = bed.start(["fleet", "apply"]);
  let said = "";
  for await (const chunk of running.stderr ?? []) {
    said += String(chunk);
    if (said.includes("waiting: ")) break;
  }
  t.regex(said, /db@pve1: .*: waiting: Proxmox is at work on guest 100 \(vzshutdown, pid \d+\)/);
  await goOn(host, "shutdown.waiting");
  await running;
  t.regex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /^memory: 96$/m);
});

proxmoxTest(
  "on a node in maintenance nothing is made or started, and what is there can be changed",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ db: guest({ resources: { memory: "64m" } }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await onHost(bed, `echo '{"node_status":{"pve1":"maintenance"}}' >/etc/pve/ha/manager_status`);
    await bed.writeFleet({ db: guest({ resources: { memory: "96m" } }), more: guest() });
    const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
    t.is(exitCode, 3, stdout);
    t.regex(stdout, /more@pve1: REFUSED: node pve1 is in maintenance/);
    t.regex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /^memory: 96$/m);
    t.deepEqual((await traces(bed)).guests, ["100"]);
  },
);
