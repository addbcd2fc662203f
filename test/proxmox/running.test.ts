// Real containers under the stand-in: what runs, what exec gives, how they end.
import { waitFor } from "../hosts/wait.ts";
import { haveNode, host, must, nodeTest, pct, shell } from "./node-test.ts";
import { busyboxTemplate, gainQuorum, loseQuorum } from "./nodes.ts";

haveNode(async () => {
  await must(
    "pct",
    "create",
    "100",
    busyboxTemplate,
    "--rootfs",
    "local:0.1",
    "--hostname",
    "web.example.com",
  );
  await must(
    "pct",
    "set",
    "100",
    "--net0",
    "name=eth0,bridge=vmbr50,ip=10.77.50.12/24,firewall=1",
    "--memory",
    "64",
  );
});

nodeTest("start prints nothing, and the container has its cgroup, veth, limits and files", async (t) => {
  const { exitCode, stdout, stderr } = await pct("start", "100");
  t.deepEqual([exitCode, stdout, stderr], [0, "", ""]);
  const pid = await shell("lxc-info -n 100 -p -H");
  t.regex(await shell(`cat /proc/${pid}/cgroup`), /:pids:\/lxc\/100\/ns$|^0::\/lxc\/100\/ns$/m);
  t.regex(await shell(`grep NSpid /proc/${pid}/status`), new RegExp(`\\t${pid}\\t1$`));
  t.is(
    await shell("cat /sys/class/net/vmbr50/brif/fwpr100p0/ifindex >&2; ls /sys/class/net/fwbr100i0/brif"),
    "fwln100i0\nveth100i0",
  );
  t.regex(
    await shell("cat /sys/fs/cgroup/memory/lxc/100/memory.limit_in_bytes /sys/fs/cgroup/lxc/100/memory.max"),
    /^67108864$/m,
  );
  t.regex(await shell("cat /proc/net/unix"), / @\/var\/lib\/lxc\/100\/command$/m);
  t.is(
    await must("pct", "exec", "100", "--", "cat", "/etc/hosts"),
    "# --- BEGIN PVE ---\n127.0.0.1 localhost.localnet localhost\n::1 localhost.localnet localhost\n10.77.50.12 web.example.com web\n# --- END PVE ---",
  );
  t.is(await must("pct", "exec", "100", "--", "cat", "/etc/hostname"), "web");
  await waitFor(async () => (await shell("lxc-info -n 100 -i -H")).includes("10.77.50.12") || undefined, {
    what: "the address that the container sets itself",
    timeoutMs: 10_000,
  });
  t.is((await pct("start", "100")).stderr, "CT 100 already running");
  t.is(await must("pct", "status", "100"), "status: running");
  t.regex(
    await must("pct", "df", "100"),
    /^MP {5}Volume +Size Used Avail Use% Path\nrootfs local:100\/vm-100-disk-0\.raw \d+\.\dM 1\.\dM \d+\.\dM {2}2\.\d \/$/,
  );
  t.is((await must("pct", "list")).split("\n")[1], "100        running                 web.example.com     ");
});

nodeTest("exec gives back what the command gives: bytes, both streams, exit codes, signals", async (t) => {
  const exec = (...command: string[]) => pct("exec", "100", "--", ...command);
  t.deepEqual(await exec("sh", "-c", "echo out; echo err >&2; exit 7"), {
    exitCode: 7,
    stdout: "out",
    stderr: "err",
  });
  t.is((await exec("sh", "-c", "kill -9 $$")).exitCode, 137);
  t.is((await exec("sh", "-c", "kill -15 $$")).exitCode, 143);
  const missing = await exec("/no/such");
  t.is(missing.exitCode, 127);
  t.regex(
    missing.stderr,
    /lxc_attach_run_command: 1841 No such file or directory - Failed to exec "\/no\/such"$/,
  );
  t.is((await exec("printf", "%s|", "a b", "", "$x")).stdout, "a b||$x|");
  t.is(
    await shell(
      "head -c 20000000 /dev/urandom >/run/sent; pct exec 100 -- cat </run/sent | cmp - /run/sent && echo same",
    ),
    "same",
  );
  t.is(await shell("SECRET=1 pct exec 100 -- env | grep SECRET"), "SECRET=1");
  t.is(await shell("SECRET=1 pct exec 100 --keep-env 0 -- env | grep SECRET"), "");
  t.is((await pct("exec", "100")).stderr, "missing command at /usr/share/perl5/PVE/CLI/pct.pm line 246.");
});

nodeTest("a killed exec client leaves its command running inside", async (t) => {
  await shell(
    "pct exec 100 -- sleep 4321 >/dev/null 2>&1 & while ! pgrep -x -f 'sleep 4321' >/dev/null; do sleep 0.1; done; kill -9 $!; wait",
  );
  t.not(await shell("pgrep -x -f 'sleep 4321'"), "");
  await shell("pkill -9 -x -f 'sleep 4321'");
});

nodeTest("set while running: what is hot, what waits in pending, and both in config", async (t) => {
  await must(
    "pct",
    "set",
    "100",
    "--memory",
    "80",
    "--hostname",
    "web2",
    "--tty",
    "4",
    "--nameserver",
    "8.8.8.8",
  );
  t.regex(
    await shell("cat /sys/fs/cgroup/memory/lxc/100/memory.limit_in_bytes /sys/fs/cgroup/lxc/100/memory.max"),
    /^83886080$/m,
  );
  await must("pct", "set", "100", "--delete", "tty");
  const conf = await shell("cat /etc/pve/lxc/100.conf");
  t.regex(conf, /^hostname: web2$/m);
  t.true(conf.endsWith("\n\n[pve:pending]\nnameserver: 8.8.8.8"));
  t.regex(await must("pct", "pending", "100"), /^new nameserver: 8\.8\.8\.8$/m);
  t.regex(await must("pct", "config", "100"), /^nameserver: 8\.8\.8\.8$/m);
  t.notRegex(await must("pct", "config", "100", "--current"), /nameserver/);

  const mac = async () => /hwaddr=(\S+?),/.exec(await shell("grep ^net0 /etc/pve/lxc/100.conf"))?.[1];
  const before = await mac();
  await must("pct", "set", "100", "--net0", "name=eth0,bridge=vmbr50,ip=10.77.50.13/24");
  t.not(await mac(), before, "a new MAC, because none was given");
  t.regex(await must("pct", "exec", "100", "--", "ip", "address"), /10\.77\.50\.13\/24/);
  const wrong = await pct("set", "100", "--net1", "name=eth1,bridge=nobr");
  t.true(
    wrong.stderr.startsWith(
      "400 Parameter verification failed.\nnet1: unable to hotplug net1: bridge 'nobr' does not exist\n",
    ),
  );
  await must("pct", "set", "100", "--mp0", "local:0.1,mp=/data");
  t.regex(await must("pct", "exec", "100", "--", "cat", "/proc/mounts"), / \/data ext4 /);
});

nodeTest("push and pull end 0 even when there is nothing to copy", async (t) => {
  await must("pct", "push", "100", "/etc/hostname", "/tmp/pushed", "--perms", "0600");
  t.is(await must("pct", "exec", "100", "--", "cat", "/tmp/pushed"), "pve1");
  const { exitCode, stdout } = await pct("pull", "100", "/no/such", "/run/pulled");
  t.is(exitCode, 0);
  t.regex(stdout, /no such file/i);
  t.is(await shell("stat -c %s /run/pulled"), "0");
});

nodeTest(
  "without quorum nothing below /etc/pve can be written, and a running container can be stopped",
  async (t) => {
    await must("pct", "create", "101", busyboxTemplate, "--rootfs", "local:0.1");
    await loseQuorum(host);
    t.regex((await host.exec(["touch", "/etc/pve/lxc/x"])).stderr, /Permission denied$/);
    t.is((await pct("start", "101")).stderr, "cluster not ready - no quorum?");
    t.is((await pct("create", "102", busyboxTemplate)).stderr, "cluster not ready - no quorum?");
    t.regex(
      (await pct("set", "101", "--cores", "1")).stderr,
      /^unable to open file '\/etc\/pve\/nodes\/pve1\/lxc\/101\.conf\.tmp\.\d+' - Permission denied$/,
    );
    t.is(await must("pct", "status", "100"), "status: running");
    await must("pct", "stop", "100");
    await gainQuorum(host);
    await must("pct", "set", "101", "--cores", "1");
    await must("pct", "destroy", "101");
  },
);

nodeTest("after a stop nothing is pending, mounted, or left of the firewall's bridges", async (t) => {
  await must("pct", "start", "100");
  await must("pct", "stop", "100");
  t.notRegex(await shell("cat /etc/pve/lxc/100.conf"), /pve:pending/);
  t.is(
    await shell(
      // Loop devices are the machine's: other nodes have a guest 100, too.
      "grep rootfs /proc/mounts; ls /sys/class/net | grep 100; losetup --associated /var/lib/vz/images/100/vm-100-disk-0.raw",
    ),
    "",
  );
  t.is(await shell("lxc-info -n 100 -s -H"), "STOPPED");
  t.is(await shell("lxc-info -n 999 -s -H; echo $?"), "1");
});

nodeTest("a reboot from inside brings a new init, and applies what was pending", async (t) => {
  await must("pct", "start", "100");
  const before = await shell("lxc-info -n 100 -p -H");
  await must("pct", "set", "100", "--nameserver", "9.9.9.9");
  await pct("exec", "100", "--", "kill", "-s", "TERM", "1"); // busybox's init ends this kill too: 0 or 143
  const after = await waitFor(
    async () => {
      const [state, pid] = (await shell("lxc-info -n 100 -s -H; lxc-info -n 100 -p -H")).split("\n");
      return state === "RUNNING" && pid !== before ? pid : undefined;
    },
    { what: "the new init", timeoutMs: 20_000 },
  );
  t.not(after, before);
  t.regex(await must("pct", "exec", "100", "--", "cat", "/etc/resolv.conf"), /^nameserver 9\.9\.9\.9$/m);
});

nodeTest(
  "shutdown ends an init that obeys; one that ignores it outlives its timeout, and not force",
  async (t) => {
    await must("pct", "shutdown", "100", "--timeout", "20");
    t.is(await must("pct", "status", "100"), "status: stopped");
    await must(
      "pct",
      "create",
      "105",
      busyboxTemplate,
      "--rootfs",
      "local:0.1",
      "--entrypoint",
      "/bin/sleep 4000",
    );
    await must("pct", "start", "105");
    const ignored = await pct("shutdown", "105", "--timeout", "1");
    t.is(ignored.exitCode, 255);
    t.is(ignored.stdout, "command 'lxc-stop -n 105 --nokill --timeout 1' failed: exit code 1");
    t.is(ignored.stderr, "container did not stop");
    await must("pct", "shutdown", "105", "--timeout", "1", "--forceStop", "1");
    t.is(await must("pct", "status", "105"), "status: stopped");
  },
);

nodeTest("PVE's words mean here what they mean there: quotes in an entrypoint, env", async (t) => {
  await must(
    ...["pct", "create", "106", busyboxTemplate, "--rootfs", "local:0.1", "--env", "GREETING=hi there"],
    ...["--entrypoint", `/bin/sh -c 'echo "got: $GREETING" >/tmp/said; exec sleep 4000'`],
  );
  await must("pct", "start", "106");
  const said = await waitFor(
    async () => (await pct("exec", "106", "--", "cat", "/tmp/said")).stdout || undefined,
    { what: "what the entrypoint says", timeoutMs: 10_000 },
  );
  t.is(said, "got: hi there");
  t.is(await must("pct", "exec", "106", "--", "cat", "/proc/1/comm"), "sleep");
  t.is((await pct("destroy", "106")).stderr, "unable to destroy CT 106 - container is running");
  t.is(await must("pct", "destroy", "106", "--force", "1"), "forced to stop CT 106 before destroying!");
});

nodeTest("a missing init fails the start, with LXC's lines on stdout", async (t) => {
  await must("pct", "set", "105", "--entrypoint", "/no/such");
  const { exitCode, stdout, stderr } = await pct("start", "105");
  t.is(exitCode, 255);
  t.is(stderr, "startup for container '105' failed");
  t.regex(stdout, /^sync_wait: 34 An error occurred in another process \(expected sequence number 7\)$/m);
  await must("pct", "destroy", "105", "--purge");
});
