import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { makeBed } from "../e2e/bed.ts";
import { testUnless } from "../e2e/host-test.ts";
import { whyNoHosts } from "../hosts/hosts.ts";

const whyNot = existsSync("/usr/sbin/debootstrap") ? whyNoHosts() : "not installed: debootstrap";
const sleeper = { command: ["sleep", "1000"], stop_grace_period: "0s" };

testUnless(
  whyNot,
  "a Debian 12 and a Debian 13 with an SSH server and nothing else run a fleet, with the paths of no file changed",
  async (t) => {
    t.timeout(400_000);
    await using bed = await makeBed(["old", "new"], { debian: { old: "bookworm", new: "trixie" } });
    await bed.writeInventory({}, { agent: {} }); // /usr/bin/nexcage-agent
    await bed.writeFleet({ web: { ...sleeper, mode: "global" } });
    for (const [name, version] of [
      ["old", /^12\./],
      ["new", /^13\./],
    ] as const) {
      t.regex((await bed.host(name).exec(["cat", "/etc/debian_version"])).stdout, version);
      for (const program of ["node", "gcc", "zstd", "curl", "sudo"])
        t.not((await bed.host(name).exec(["which", program])).exitCode, 0, `${name} has no ${program}`);
    }

    const bootstrapped = await bed.nexcage("fleet", "bootstrap");
    t.is(bootstrapped.exitCode, 0, bootstrapped.stdout + bootstrapped.stderr);
    const applied = await bed.nexcage("fleet", "apply");
    t.is(applied.exitCode, 0, applied.stdout + applied.stderr);
    for (const name of ["old", "new"]) {
      const host = bed.host(name);
      t.is(
        (await host.exec(["readlink", "/usr/bin/nexcage-agent"])).stdout,
        "/opt/nexcage/current/nexcage-agent",
      );
      const { exitCode, stdout } = await host.exec(["nexcage-agent", "doctor"]);
      t.is(exitCode, 0, stdout);
      t.regex((await host.exec(["nexcage-agent", "list"])).stdout, /web +\d+ +running/);
      t.is((await bed.nexcage("fleet", "exec", `web@${name}`, "--", "hostname")).exitCode, 0);
    }

    t.is((await bed.nexcage("fleet", "unbootstrap", "-y")).exitCode, 0);
    t.not((await bed.host("old").exec(["ls", "/usr/bin/nexcage-agent"])).exitCode, 0);
  },
);

testUnless(whyNot, "an agent that came as a Debian package is apt's to upgrade", async (t) => {
  t.timeout(400_000);
  await using bed = await makeBed(["node1"], { debian: { node1: "bookworm" } });
  await bed.writeInventory({}, { agent: {} });
  const host = bed.host("node1");
  const tree = join(bed.folder, "package");
  await mkdir(join(tree, "DEBIAN"), { recursive: true });
  await mkdir(join(tree, "usr/bin"), { recursive: true });
  await writeFile(join(tree, "usr/bin/nexcage-agent"), "#!/bin/sh\n", { mode: 0o755 });
  await writeFile(
    join(tree, "DEBIAN/control"),
    "Package: nexcage-agent\nVersion: 1\nArchitecture: all\nMaintainer: T <t@localhost>\nDescription: test\n",
  );
  await execa("dpkg-deb", ["--build", tree, join(host.dir, "opt/agent.deb")]);
  const installed = await host.exec(["dpkg", "-i", "/opt/agent.deb"]);
  t.is(installed.exitCode, 0, installed.stderr);

  const { exitCode, stdout } = await bed.nexcage("fleet", "bootstrap", "-o", "json");
  t.is(exitCode, 9);
  t.like(JSON.parse(stdout).hosts[0].error, {
    code: "REFUSED",
    message: "/usr/bin/nexcage-agent on node1 is of its Debian package nexcage-agent",
    hint: "upgrade that there: apt-get install --only-upgrade nexcage-agent; or say agent: {path: /opt/nexcage/nexcage-agent} in the inventory",
  });
});
