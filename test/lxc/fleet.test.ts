import { join } from "node:path";
import { OciState } from "../../shared/oci.ts";
import { dist } from "../dist.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { busyboxTemplate, gainQuorum, goOn, loseQuorum, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, small, traces } from "./bed.ts";

proxmoxTest(
  "a fleet of Proxmox and libcrun containers is planned, applied, found unchanged, edited and pruned",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeProxmox(["pve1", "pve2"]);
    const app = {
      runtime: "lxc",
      rootfs: "./rootfs",
      host: "pve2",
      command: ["sh", "-c", "echo \"$GREETING\"; trap 'exit 0' TERM; while :; do sleep 1; done"],
      environment: { GREETING: "it's here", OTHER: "a b" },
      stop_signal: "SIGTERM",
      proxmox: small,
    };
    const networks = [{ name: "eth0", ip: "10.77.50.30/24" }];
    const db = guest({ networks, resources: { memory: "128m", swap: "0" } });
    const web = { command: ["sleep", "1000"], mode: "global", stop_grace_period: "0s" };
    await bed.writeFleet({ db, app, web }, { prune: true });
    const first = await bed.nexcage("fleet", "apply");
    t.is(first.exitCode, 0, first.stdout + first.stderr);
    await requireNothingToDo(t, bed);

    const programs = ["pct", "pvesh", "pvesm", "pveam", "pveversion", "ha-manager"];
    for (const host of bed.hosts.hosts) await turnKnobs(host, { hang: programs });
    for (const words of [["apply"], ["status"], ["state", "*"], ["logs", "app"]]) {
      const looked = await bed.nexcage("fleet", ...words);
      t.is(looked.exitCode, 0, `to look, none of Proxmox's programs is started: ${words}: ${looked.stderr}`);
    }
    for (const host of bed.hosts.hosts) await turnKnobs(host, {});

    const state = JSON.parse((await bed.nexcage("fleet", "state", "db")).stdout);
    t.is(state.status, "running");
    t.is(state.annotations["io.nexcage.vmid"], "100");
    t.is(
      await onHost(bed, `grep NSpid /proc/${state.pid}/status | cut -f3-`),
      "1",
      "the pid is the host's, of its init",
    );
    t.regex(await onHost(bed, "cat /run/nexcage/db/state.json"), new RegExp(`"pid":${state.pid}`));
    t.regex((await bed.nexcage("fleet", "logs", "app")).stdout, /it's here/);
    const inside = ["sh", "-c", "ip -4 addr show eth0; echo $0 | cat; exit 3"];
    const exec = await bed.nexcage("fleet", "exec", "db", "--", ...inside);
    t.is(exec.exitCode, 3);
    t.regex(exec.stdout, /10\.77\.50\.30\/24/);

    await bed.writeFleet(
      { db: { ...db, hostname: "database", resources: { memory: "256m", swap: "0" } }, web },
      { prune: true },
    );
    const plan = await bed.nexcage("fleet", "plan");
    t.regex(plan.stdout, /update +db .*restart/);
    t.regex(plan.stdout, /resources\.memory +128 MiB → 256 MiB +\(hot\)/);
    t.regex(plan.stdout, /delete +app/);
    const edited = await bed.nexcage("fleet", "apply", "--yes");
    t.is(edited.exitCode, 0, edited.stdout + edited.stderr);
    t.is(await onHost(bed, "hostname; pct exec 100 -- hostname"), "pve1\ndatabase");
    t.regex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /^memory: 256$/m);
    t.is(await onHost(bed, "pct list", "pve2"), "", "what left the fleet is gone");
    await requireNothingToDo(t, bed);

    const deleted = await bed.nexcage("fleet", "delete", "*", "--yes");
    t.is(deleted.exitCode, 0, deleted.stdout);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  },
);

proxmoxTest("what a host lacks is told by the plan with what it has, and nothing is begun", async (t) => {
  t.timeout(120_000);
  await using bed = await makeProxmox();
  const wrong = {
    bridge: guest({ networks: [{ name: "eth0", bridge: "vmbr9" }] }),
    storage: guest({ proxmox: { ...small, storage: "tank" } }),
    template: guest({ template: "debian-99" }),
  };
  await bed.writeFleet(wrong);
  const plan = await bed.nexcage("fleet", "plan");
  t.regex(plan.stdout, /bridge@pve1 +networks: this host has no bridge vmbr9 for eth0 \(.*vmbr0, vmbr50/);
  t.regex(plan.stdout, /storage@pve1 +proxmox\.storage: tank is no storage .*\(.*local, local2/);
  t.regex(plan.stdout, /template@pve1 +template: this node has no debian-99 \(there are .*busybox-1_amd64/);
  const apply = await bed.nexcage("fleet", "apply");
  t.is(apply.exitCode, 9, apply.stdout);
  t.regex(apply.stderr, /template@pve1 cannot be made: template: this node has no debian-99/);

  await bed.writeFleet({ volume: guest({ volumes: ["/srv/nothing:/data"] }) });
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 1, stdout);
  t.regex(stdout, /volumes: \/srv\/nothing does not exist/);
  t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
});

proxmoxTest(
  "without a quorum a change is refused before anything is made, and what runs is seen",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ one: guest() });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await loseQuorum(bed.host("pve1"));
    await bed.writeFleet({ one: guest(), two: guest() });
    const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
    t.is(exitCode, 1, stdout);
    t.regex(stdout, /two@pve1: RUNTIME_FAILED: the cluster has no quorum/);
    t.regex((await bed.nexcage("fleet", "status")).stdout, /one +pve1 +running +running/);
  },
);

proxmoxTest(
  "a quorum that goes while a guest is made is told, and once it is back apply finishes",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    const host = bed.host("pve1");
    await bed.writeFleet({ db: guest() });
    await turnKnobs(host, { pauseAt: ["create.unpacking"] });
    const running = bed.start(["fleet", "apply"]);
    await waitForPause(host, "create.unpacking");
    await turnKnobs(host, {});
    await loseQuorum(host);
    await goOn(host, "create.unpacking");
    const failed = await running;
    t.is(failed.exitCode, 1, failed.stdout + failed.stderr);
    t.regex(failed.stdout, /db@pve1: RUNTIME_FAILED: pct create 100: .*(Permission denied|quorum)/);
    await gainQuorum(host);
    const again = await bed.nexcage("fleet", "apply");
    t.is(again.exitCode, 0, again.stdout + again.stderr);
    const left = await traces(bed);
    t.deepEqual([left.guests.length, left.volumes.length], [1, 1], JSON.stringify(left));
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest("what only a newer Proxmox VE knows is refused by its name, and nothing is left", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  await turnKnobs(bed.host("pve1"), { pveVersion: 8 });
  await bed.writeFleet({ db: guest({ command: ["/bin/sleep", "1000"] }) });
  const refused = await bed.nexcage("fleet", "apply");
  t.is(refused.exitCode, 1, refused.stdout + refused.stderr);
  t.regex(
    refused.stdout,
    /db@pve1: SPEC_REFUSED: pct create 100: this node's pct does not know entrypoint\n.*9\.1/,
  );
  t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  await bed.writeFleet({ db: guest() });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await requireNothingToDo(t, bed);
});

proxmoxTest(
  "a guest that was destroyed behind our back is made again; one that was stopped is started",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ gone: guest(), off: guest() });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    const vmidOf = async (id: string): Promise<string> =>
      JSON.parse((await bed.nexcage("fleet", "state", id)).stdout).annotations["io.nexcage.vmid"];
    await onHost(bed, `pct destroy ${await vmidOf("gone")} --force 1; pct stop ${await vmidOf("off")}`);
    const plan = await bed.nexcage("fleet", "plan");
    t.regex(plan.stdout, /create +gone +is not there/);
    t.regex(plan.stdout, /start +off +is stopped/);
    const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
    t.is(exitCode, 0, stdout);
    t.is((await traces(bed)).guests.length, 2);
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest("a guest that a backup has locked is waited for, and is never unlocked by us", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  await bed.writeFleet({ db: guest({ resources: { memory: "64m" } }) });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await onHost(bed, "pct set 100 --lock backup");
  await bed.writeFleet({ db: guest({ resources: { memory: "96m" } }) });
  const running = bed.start(["fleet", "apply"]);
  await onHost(bed, "sleep 5; grep -q 'lock: backup' /etc/pve/lxc/100.conf && pct unlock 100");
  const { exitCode, stdout, stderr } = await running;
  t.is(exitCode, 0, String(stdout));
  t.regex(String(stderr), /db@pve1: .*: waiting: guest 100 is locked by Proxmox \(backup\)/);
  t.regex(await onHost(bed, "cat /etc/pve/lxc/100.conf"), /^memory: 96$/m);
});

proxmoxTest(
  "a replacement that fails brings back the old guest, and one that works leaves nothing of it",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ db: guest() });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    const unlike = guest({ proxmox: { ...small, unprivileged: false } });
    await bed.writeFleet({ db: unlike });
    await turnKnobs(bed.host("pve1"), { fullStorages: ["local"] });
    const failed = await bed.nexcage("fleet", "apply", "--yes");
    t.is(failed.exitCode, 1, failed.stdout);
    t.is(await onHost(bed, "pct list | tail -n +2 | tr -s ' ' | cut -d' ' -f1-2"), "100 running");
    await turnKnobs(bed.host("pve1"), {});
    const worked = await bed.nexcage("fleet", "apply", "--yes");
    t.is(worked.exitCode, 0, worked.stdout);
    t.is((await traces(bed)).volumes.length, 1);
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest("by hand the agent makes, starts, kills, stops and deletes a Proxmox container", async (t) => {
  t.timeout(120_000);
  await using bed = await makeProxmox();
  const agent = async (...words: string[]) =>
    await bed.host("pve1").exec([join(dist, "nexcage-agent"), ...words]);
  const stateOf = async (): Promise<OciState> =>
    OciState.parse(JSON.parse((await agent("state", "web")).stdout));
  const made = await agent("create", "--name", "web", "--image", busyboxTemplate, "--runtime", "lxc");
  t.is(made.exitCode, 0, made.stderr);
  t.like(await stateOf(), { status: "created", pid: 0 });
  t.is((await agent("start", "web")).exitCode, 0);
  const running = await stateOf();
  t.is(running.status, "running");
  t.is(await onHost(bed, `grep NSpid /proc/${running.pid}/status | cut -f3-`), "1");
  t.regex((await agent("list")).stdout, /web +\d+ +running/);
  t.regex((await agent("ps", "web")).stdout, /init/);
  t.is((await agent("kill", "-s", "KILL", "web")).exitCode, 0);
  t.like(await stateOf(), { status: "stopped", pid: 0 });
  t.is((await agent("kill", "-s", "TERM", "web")).exitCode, 0, "what has stopped needs no signal");
  t.is((await agent("start", "web")).exitCode, 0);
  t.is((await agent("stop", "web")).exitCode, 0);
  t.is((await agent("delete", "web")).exitCode, 0);
  t.is((await agent("state", "web")).exitCode, 1);
  t.regex(
    (await agent("create", "--image", "docker.io/nginx", "web")).stderr,
    /"docker.io\/nginx" is no template/,
  );
  t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
});

proxmoxTest("what Proxmox protects is neither deleted nor replaced, and goes on running", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const protectedGuest = guest({ proxmox: { ...small, protection: true } });
  await bed.writeFleet({ db: protectedGuest });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  const { exitCode, stdout } = await bed.nexcage("fleet", "delete", "db", "--yes");
  t.is(exitCode, 9, stdout);
  t.regex(stdout, /db@pve1: REFUSED: guest 100 \(db\) is protected in Proxmox/);
  t.regex((await bed.nexcage("fleet", "status")).stdout, /db +pve1 +running +running/);
  await bed.writeFleet({ db: guest() });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  t.is((await bed.nexcage("fleet", "delete", "db", "--yes")).exitCode, 0);
  t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
});

proxmoxTest("a guest that was migrated to another node gets no double where it was", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  await bed.writeFleet({ db: guest() });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await onHost(
    bed,
    "pct stop 100; mkdir -p /etc/pve/nodes/pve2/lxc; mv /etc/pve/lxc/100.conf /etc/pve/nodes/pve2/lxc",
  );
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 1, stdout);
  t.regex(stdout, /CONTAINER_EXISTS: db was migrated from pve1 to pve2, as 100\n.*pct migrate 100 pve1/);
  t.deepEqual((await traces(bed)).guests, []);
});
