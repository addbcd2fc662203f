import { join } from "node:path";
import type { Bed } from "../e2e/bed.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { makeOciArchive } from "../proxmox/oci-archive.ts";
import { guest, makeProxmox, onHost, requireNothingToDo, traces } from "./bed.ts";

/** An image among the node's templates. */
async function addImage(bed: Bed, config: object): Promise<string> {
  const archive = join(bed.folder, "app.tar");
  await makeOciArchive({ rootfs: join(bed.folder, "rootfs"), config, archive });
  await onHost(bed, `cp ${archive} /var/lib/vz/template/cache/app.tar`);
  return "local:vztmpl/app.tar";
}

proxmoxTest(
  "of an OCI archive what it says holds where the fleet says nothing, and is no change afterwards",
  async (t) => {
    t.timeout(180_000);
    await using bed = await makeProxmox();
    const template = await addImage(bed, {
      Entrypoint: ["/bin/sleep"],
      Cmd: ["1000"],
      Env: ["PATH=/usr/bin:/bin", "GREETING=hi there", "WHO=image"],
      WorkingDir: "/tmp",
      StopSignal: "SIGKILL",
    });
    const networks = [{ name: "eth0", bridge: "vmbr50", ip: "10.77.50.61/24" }];
    await bed.writeFleet({
      own: guest({ template, networks }),
      said: guest({ template, command: ["/bin/sleep", "2000"], environment: { WHO: "fleet" } }),
    });
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stdout + applied.stderr);
    const script = `tr '\\0' ' ' </proc/1/cmdline; tr '\\0' '\\n' </proc/1/environ | grep -E '^(GREETING|WHO)='`;
    const inside = async (id: string) =>
      (await bed.nexcage("fleet", "exec", id, "--", "sh", "-c", script)).stdout;
    t.is(await inside("own"), "/bin/sleep 1000 GREETING=hi there\nWHO=image");
    t.is(await inside("said"), "/bin/sleep 2000 GREETING=hi there\nWHO=fleet");
    const config = await onHost(bed, "grep -l 'sleep 1000' /etc/pve/lxc/*.conf | xargs cat");
    t.regex(
      config,
      /^net0: .*host-managed=1/m,
      "Proxmox sets the address, as the image has no init that would",
    );
    await requireNothingToDo(t, bed);

    await bed.writeFleet(
      { own: guest({ template, networks, environment: { WHO: "changed" } }) },
      { prune: true },
    );
    const changed = await bed.nexcage("fleet", "apply", "--yes");
    t.is(changed.exitCode, 0, changed.stdout + changed.stderr);
    t.is(await inside("own"), "/bin/sleep 1000 GREETING=hi there\nWHO=changed");
    t.regex(await onHost(bed, "cat /etc/pve/lxc/*.conf"), /^net0: .*host-managed=1/m, "and still does");
    await requireNothingToDo(t, bed);
    t.is((await bed.nexcage("fleet", "delete", "own", "--yes")).exitCode, 0);

    const net = "name=eth0,bridge=vmbr50,ip=10.77.50.62/24";
    await onHost(
      bed,
      `pct create 200 ${template} --rootfs local:0.1 --net0 ${net} --hostname byhand --start 1`,
    );
    await bed.writeFleet({}, { prune: true });
    const adopted = await bed.nexcage(
      "fleet",
      "adopt",
      "pve1",
      "200",
      "--template",
      template,
      "--write",
      "fleet.yaml",
    );
    t.is(adopted.exitCode, 0, adopted.stdout + adopted.stderr);
    await requireNothingToDo(t, bed);
    t.is(await inside("byhand"), "/bin/sleep 1000 GREETING=hi there\nWHO=image");
    t.is((await bed.nexcage("fleet", "delete", "byhand", "--yes")).exitCode, 0);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
  },
);
