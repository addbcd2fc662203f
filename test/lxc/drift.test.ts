import { proxmoxTest } from "../e2e/host-test.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, small } from "./bed.ts";

proxmoxTest(
  "what was changed by hand is shown field by field, and put back; what no file says stays",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({
      db: guest({
        resources: { memory: "64m", cpus: 1 },
        networks: [{ name: "eth0", ip: "10.77.50.40/24" }],
        environment: { GREETING: "hello" },
        volumes: [{ type: "volume", source: "data", target: "/data", size: "16m" }],
        proxmox: { ...small, cores: 1, features: { nesting: true } },
      }),
    });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await requireNothingToDo(t, bed);
    await onHost(
      bed,
      `set -e; pct set 100 --memory 96 --onboot 1 --features keyctl=1 --delete cores
    pct set 100 --net0 name=eth0,bridge=vmbr0,ip=10.77.0.40/24
    sed -i s/GREETING=hello/GREETING=bye/ /etc/pve/lxc/100.conf`,
    );
    const plan = await bed.nexcage("fleet", "plan", "--detailed-exitcode");
    t.is(plan.exitCode, 2);
    t.regex(plan.stdout, /update +db +environment, networks and 3 more changed by hand · restart/);
    for (const line of [
      /environment\.GREETING +bye → hello +\(restart\)/,
      /networks\.eth0 +bridge=vmbr0,ip=10\.77\.0\.40\/24 → bridge=vmbr50,ip=10\.77\.50\.40\/24 +\(hot\)/,
      /resources\.memory +96 MiB → 64 MiB +\(hot\)/,
      /proxmox\.features\.nesting +\(not set\) → true +\(restart\)/,
      /proxmox\.cores +\(not set\) → 1 +\(hot\)/,
    ])
      t.regex(plan.stdout, line);
    t.notRegex(plan.stdout, /onboot|volumes/);
    t.regex((await bed.nexcage("fleet", "status")).stdout, /db/);

    const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
    t.is(exitCode, 0, stdout);
    await requireNothingToDo(t, bed);
    const config = await onHost(bed, "cat /etc/pve/lxc/100.conf");
    for (const line of [
      /^memory: 64$/m,
      /^cores: 1$/m,
      /^onboot: 1$/m,
      /^features: nesting=1$/m,
      /GREETING=hello$/m,
    ])
      t.regex(config, line);
    t.regex(config, /^net0: .*bridge=vmbr50.*ip=10\.77\.50\.40\/24/m);
    t.notRegex(config, /pve:pending/);
    t.regex(
      (await bed.nexcage("fleet", "exec", "db", "--", "ip", "addr", "show", "eth0")).stdout,
      /10\.77\.50\.40/,
    );
  },
);

proxmoxTest(
  "what a person has done and the file then says is written down, and touches nothing",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeProxmox();
    await bed.writeFleet({ db: guest({ resources: { memory: "64m" } }) });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await onHost(bed, "pct set 100 --memory 96");
    await bed.writeFleet({ db: guest({ resources: { memory: "96m" } }) });
    t.regex((await bed.nexcage("fleet", "plan")).stdout, /resources\.memory +64 MiB → 96 MiB/);
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
    await requireNothingToDo(t, bed);
  },
);

proxmoxTest("a volume that was detached by hand is seen, and not replaced by an empty one", async (t) => {
  t.timeout(120_000);
  await using bed = await makeProxmox();
  const volumes = [{ type: "volume", source: "data", target: "/data", size: "16m" }];
  await bed.writeFleet({ db: guest({ volumes }) });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await onHost(bed, "pct stop 100; pct set 100 --delete mp0; pct start 100");
  t.regex((await bed.nexcage("fleet", "plan")).stdout, /volumes +\(not set\) → \[data:\/data \(16 MiB\)\]/);
  const failed = await bed.nexcage("fleet", "apply");
  t.is(failed.exitCode, 1);
  t.regex(
    failed.stdout,
    /volumes: data was detached from guest 100, and its unused0 may be it\n.*pct set 100 --mp0 local:100/,
  );
  await onHost(bed, "pct stop 100; pct set 100 --mp0 local:100/vm-100-disk-1.raw,mp=/data; pct start 100");
  await requireNothingToDo(t, bed);
});
