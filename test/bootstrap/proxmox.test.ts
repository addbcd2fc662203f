import { join } from "node:path";
import { proxmoxTest } from "../e2e/host-test.ts";
import { guest, makeProxmox } from "../lxc/bed.ts";
import { makeBuild } from "./builds.ts";

const agentPath = "/opt/nexcage/nexcage-agent";

proxmoxTest(
  "on a Proxmox node whose libcrun cannot load, the agent is installed and runs Proxmox's containers",
  async (t) => {
    t.timeout(300_000);
    await using bed = await makeProxmox(["pve1"]);
    const ssh = {
      user: "root",
      identity_file: join(bed.hosts.dir, "id_ed25519"),
      known_hosts: join(bed.hosts.dir, "known_hosts"),
    };
    await bed.writeInventory({}, { ssh, agent: { path: agentPath } });
    const build = await makeBuild(join(bed.folder, "build"), { kind: "without libcrun" });
    const bootstrapped = await bed.nexcage("fleet", "bootstrap", "--agent", build);
    t.is(bootstrapped.exitCode, 0, bootstrapped.stdout);
    const doctor = await bed.host("pve1").exec([agentPath, "doctor"]);
    t.is(doctor.exitCode, 0, doctor.stdout);
    t.regex(doctor.stdout, /^warning +backend crun: /m);

    await bed.writeFleet({ db: guest({ host: "pve1" }) });
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stdout + applied.stderr);
    const pid = async () => JSON.parse((await bed.nexcage("fleet", "state", "db")).stdout).pid;
    const before = await pid();
    t.is((await bed.nexcage("fleet", "bootstrap")).exitCode, 0, "one with libcrun takes its place");
    t.is(await pid(), before, "and the container goes on");
  },
);
