import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { dist } from "../dist.ts";
import type { Bed } from "../e2e/bed.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { makeRootfs } from "../e2e/rootfs.ts";
import { makeProxmox, onHost, requireNothingToDo, small, traces } from "./bed.ts";

/** A bundle as its builder leaves it on a host, with mounts of every kind. */
async function makeBundle(bed: Bed, more: object = {}): Promise<string> {
  // The init of an unprivileged container mounts the single file, and so has to find its way to it.
  await chmod(bed.folder, 0o711);
  const bundle = join(bed.folder, "bundle");
  await makeRootfs(join(bundle, "rootfs"));
  await mkdir(join(bundle, "data"));
  await writeFile(join(bundle, "data/file"), "data");
  await writeFile(join(bundle, "one"), "one");
  const config = {
    ociVersion: "1.2.0",
    hostname: "from-bundle",
    root: { path: "rootfs" },
    process: {
      args: ["sh", "-c", "echo begun as $WHO; exec sleep 1000"],
      env: ["PATH=/bin:/usr/bin", "GREETING=good day", "WHO=bundle"],
      cwd: "/tmp",
      user: { uid: 0, gid: 0 },
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 512, hard: 600 }],
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/data", type: "bind", source: "data", options: ["rbind", "ro"] },
      { destination: "/one", type: "bind", source: "one", options: ["bind", "ro", "nosuid"] },
      { destination: "/scratch", type: "tmpfs", source: "tmpfs", options: ["size=1m", "mode=1777"] },
    ],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      resources: { memory: { limit: 64 * 1024 ** 2 }, pids: { limit: 50 } },
      maskedPaths: ["/proc/kcore"],
      ...more,
    },
  };
  await writeFile(join(bundle, "config.json"), JSON.stringify(config));
  return bundle;
}

proxmoxTest(
  "a bundle becomes a guest that is as its config.json says, and as the fleet says above that",
  async (t) => {
    t.timeout(240_000);
    await using bed = await makeProxmox();
    const bundle = await makeBundle(bed);
    const web = { runtime: "lxc", bundle, host: "pve1", stop_grace_period: "1s", proxmox: small };
    await bed.writeFleet({ one: { ...web, environment: { WHO: "fleet" } }, two: web });
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stdout + applied.stderr);
    t.is(
      (await bed.nexcage("fleet", "logs", "one")).stdout.trim().split(/\s/).slice(-3).join(" "),
      "begun as fleet",
    );

    const script = `tr '\\0' '\\n' </proc/1/environ | grep -E '^(GREETING|WHO)='; hostname
readlink /proc/1/cwd; cat /data/file /one; echo; touch /data/new 2>/dev/null || echo read-only
grep -o '512 .*600' /proc/1/limits | tr -s ' '; touch /scratch/x && stat -c %a /scratch`;
    const inside = await bed.nexcage("fleet", "exec", "two", "--", "sh", "-c", script);
    t.is(
      inside.stdout,
      "GREETING=good day\nWHO=bundle\nfrom-bundle\n/tmp\ndataone\nread-only\n512 600\n1777",
      inside.stderr,
    );
    const config = await onHost(bed, "cat /etc/pve/lxc/101.conf");
    t.regex(config, /^memory: 64$/m);
    t.regex(config, /^lxc\.cgroup2?\.pids\.max: 50$/m);
    await requireNothingToDo(t, bed);

    t.is(await onHost(bed, "ls /var/lib/nexcage/templates | wc -l"), "1", "its archive is built once");
    await bed.writeFleet({ one: { ...web, environment: { WHO: "else" } } }, { prune: true });
    const changed = await bed.nexcage("fleet", "apply", "--yes");
    t.is(changed.exitCode, 0, changed.stdout + changed.stderr);
    const seen = await bed.nexcage("fleet", "exec", "one", "--", "sh", "-c", script);
    t.regex(seen.stdout, /^GREETING=good day\nWHO=else\nfrom-bundle\n/);
    await requireNothingToDo(t, bed);

    t.is((await bed.nexcage("fleet", "delete", "one", "--yes")).exitCode, 0);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
    t.is(await onHost(bed, "ls /var/lib/nexcage/templates"), "", "and goes with the last of them");
  },
);

proxmoxTest(
  "what Proxmox cannot hold of a bundle is refused by its name, before anything is made",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeProxmox();
    const bundle = await makeBundle(bed, { sysctl: { "net.core.somaxconn": "100" } });
    await bed.writeFleet({ web: { runtime: "lxc", bundle, host: "pve1", proxmox: small } });
    const { exitCode, stdout, stderr } = await bed.nexcage("fleet", "apply");
    t.not(exitCode, 0);
    t.regex(stdout + stderr, /SPEC_REFUSED.*bundle: linux\.sysctl: a Proxmox container cannot hold it/);
    t.deepEqual(await traces(bed), { guests: [], volumes: [], loose: [] });
    const byHand = await bed
      .host("pve1")
      .exec([join(dist, "nexcage-agent"), "create", "--bundle", bundle, "--runtime", "lxc", "web"]);
    t.not(byHand.exitCode, 0);
    t.regex(byHand.stderr, /bundle: linux\.sysctl: .*config\.json/s);
  },
);
