// What create and set write, byte by byte as recorded.
import { haveNode, host, nodeTest, pct } from "./node-test.ts";
import { busyboxTemplate, turnKnobs } from "./nodes.ts";

haveNode();

async function conf(vmid: string): Promise<string> {
  return (await host.exec(["cat", `/etc/pve/lxc/${vmid}.conf`])).stdout;
}

nodeTest("create without an option writes the defaults, and tells what it did on stdout", async (t) => {
  const { exitCode, stdout, stderr } = await pct("create", "100", busyboxTemplate);
  t.is(stderr, "");
  t.is(exitCode, 0);
  t.is(
    await conf("100"),
    `arch: amd64
hostname: CT100
memory: 512
ostype: alpine
rootfs: local:100/vm-100-disk-0.raw,size=4G
swap: 512
unprivileged: 1`,
  );
  const lines = stdout
    .replace(/UUID: .*/, "UUID: U")
    .replace(/read: .*/, "read: N")
    .split("\n");
  t.deepEqual(lines, [
    "Formatting '/var/lib/vz/images/100/vm-100-disk-0.raw', fmt=raw size=4294967296 preallocation=off",
    "Creating filesystem with 1048576 4k blocks and 262144 inodes",
    "Filesystem UUID: U",
    "Superblock backups stored on blocks: ",
    "\t32768, 98304, 163840, 229376, 294912, 819200, 884736",
    "extracting archive '/var/lib/vz/template/cache/busybox-1_amd64.tar.zst'",
    "Total bytes read: N",
    "Detected container architecture: amd64",
  ]);
  const mode = await host.exec(["stat", "-c", "%a", "/etc/pve/lxc/100.conf"]);
  t.is(mode.stdout, "640");
});

nodeTest(
  "create sorts keys and parts, encodes the description, makes a MAC, keeps a given one",
  async (t) => {
    await host.exec(["mkdir", "-p", "/etc/network"]);
    const { exitCode, stderr } = await pct(
      ...["create", "101", busyboxTemplate, "--rootfs", "local:1", "--hostname", "web-1", "--memory", "128"],
      ...["--swap", "0", "--cores", "2", "--cpulimit", "1.5", "--cpuunits", "200"],
      ...["--net0", "name=eth0,bridge=vmbr50,ip=10.77.50.11/24,gw=10.77.50.1"],
      "--net1",
      "name=eth1,bridge=vmbr0,ip=dhcp,ip6=auto,mtu=1400,rate=5,tag=12,firewall=1,hwaddr=bc:24:11:aa:bb:cc",
      ...["--unprivileged", "1", "--features", "nesting=1,keyctl=1", "--nameserver", "10.77.50.1 1.1.1.1"],
      ...["--searchdomain", "example.com foo.bar", "--onboot", "1", "--startup", "order=2,up=30,down=60"],
      ...["--tags", "Web;nexcage,zeta alpha;web", "--protection", "0", "--timezone", "host", "--tty", "3"],
      ...["--cmode", "shell", "--console", "1", "--mp0", "local:0.5,mp=/data,backup=1"],
      ...["--mp1", "/etc/network,mp=/hostnet,ro=1", "--ostype", "alpine", "--arch", "amd64"],
      ...["--description", "line one\nné: two %\ttab\n#hash\n\nlast"],
    );
    t.is(stderr, "");
    t.is(exitCode, 0);
    t.is(
      (await conf("101")).replace(/(net0:.*hwaddr=)BC:24:11(:[0-9A-F]{2}){3}/, "$1MADE"),
      `#line one
#n%C3%A9%3A two %25%09tab
##hash
#
#last
arch: amd64
cmode: shell
console: 1
cores: 2
cpulimit: 1.5
cpuunits: 200
features: nesting=1,keyctl=1
hostname: web-1
memory: 128
mp0: local:101/vm-101-disk-1.raw,mp=/data,backup=1,size=512M
mp1: /etc/network,mp=/hostnet,ro=1
nameserver: 10.77.50.1 1.1.1.1
net0: name=eth0,bridge=vmbr50,gw=10.77.50.1,hwaddr=MADE,ip=10.77.50.11/24,type=veth
net1: name=eth1,bridge=vmbr0,firewall=1,hwaddr=bc:24:11:aa:bb:cc,ip=dhcp,ip6=auto,mtu=1400,rate=5,tag=12,type=veth
onboot: 1
ostype: alpine
protection: 0
rootfs: local:101/vm-101-disk-0.raw,size=1G
searchdomain: example.com foo.bar
startup: order=2,up=30,down=60
swap: 0
tags: alpha;nexcage;web;zeta
timezone: host
tty: 3
unprivileged: 1`,
    );
  },
);

nodeTest("a bridge that does not exist passes create, and fails start", async (t) => {
  const created = await pct(
    ...["create", "102", busyboxTemplate, "--rootfs", "local:0.2", "--net0", "name=eth0,bridge=nobr"],
    ...["--unprivileged", "0", "--env", "A=1", "--entrypoint", "/bin/sh -c 'sleep 9'"],
  );
  t.is(created.exitCode, 0);
  t.is(created.stderr, "");
  const text = await conf("102");
  t.regex(text, /^rootfs: local:102\/vm-102-disk-0\.raw,size=204M$/m);
  t.notRegex(text, /unprivileged/);
  t.true(text.endsWith("\nlxc.environment.runtime: A=1"));
  const started = await pct("start", "102");
  t.is(started.exitCode, 255);
  t.is(started.stderr, "bridge 'nobr' does not exist");
});

nodeTest("a description in a locale without UTF-8 is lost in silence", async (t) => {
  const { exitCode } = await host.exec(["pct", "set", "100", "--description", "é"], { env: { LC_ALL: "C" } });
  t.is(exitCode, 0);
  t.regex(await conf("100"), /^#%EF%BF%BD%EF%BF%BD$/m);
  t.regex((await pct("config", "100")).stdout, /^description: %EF%BF%BD%EF%BF%BD%0A$/m);
  t.is((await pct("set", "100", "--delete", "description")).exitCode, 0);
});

nodeTest("the digest is the SHA-1 of the file, and each write of a conf raises its version", async (t) => {
  const version = async () => {
    const list: { ids: Record<string, { version: number; node: string; type: string }> } = JSON.parse(
      (await host.exec(["cat", "/etc/pve/.vmlist"])).stdout,
    );
    return list.ids["100"];
  };
  const before = await version();
  t.like(before, { node: "pve1", type: "lxc" });
  const { stdout } = await host.exec(["sha1sum", "/etc/pve/lxc/100.conf"]);
  t.is((await pct("set", "100", "--digest", stdout.slice(0, 40), "--cores", "3")).exitCode, 0);
  t.true(Number((await version())?.version) > Number(before?.version));
});

nodeTest("set on a stopped container: volumes, unused ones, tags, MACs", async (t) => {
  const set = async (...options: string[]) => t.is((await pct("set", "100", ...options)).exitCode, 0);
  await set("--mp0", "local:0.1,mp=/data");
  await set("--mp0", "local2:0.1,mp=/data");
  t.regex(await conf("100"), /^mp0: local2:100\/vm-100-disk-0\.raw,mp=\/data,size=102M$/m);
  t.regex(await conf("100"), /^unused0: local:100\/vm-100-disk-1\.raw$/m);
  await set("--delete", "mp0");
  t.regex(await conf("100"), /^unused1: local2:100\/vm-100-disk-0\.raw$/m);
  await set("--delete", "unused0,unused1");
  t.is((await pct("resize", "100", "rootfs", "+1G")).stdout.split("\n")[0], "Image resized.");
  t.regex(await conf("100"), /size=5G$/m);
  await set("--tags", "");
  t.regex(await conf("100"), /^tags: $/m);
  t.is((await pct("set", "100", "--delete", "net5")).exitCode, 0);
});

nodeTest(
  "lines of a conf that cannot be read are warnings at exit 0, and go at the next write",
  async (t) => {
    const add =
      "printf 'bogus line\\nlxc.foo: 1\\nfutureopt: 2\\nlxc.init.cwd = /tmp\\n' >>/etc/pve/lxc/100.conf";
    await host.exec(["sh", "-c", add]);
    const { exitCode, stderr } = await pct("status", "100");
    t.is(exitCode, 0);
    t.deepEqual(stderr.split("\n"), [
      "vm 100 - unable to parse config: bogus line",
      "vm 100 - unable to parse config: lxc.foo: 1",
      "vm 100 - unable to parse value of 'futureopt' - unknown setting 'futureopt'",
    ]);
    await pct("set", "100", "--cores", "2");
    const text = await conf("100");
    t.notRegex(text, /bogus|lxc\.foo/);
    t.regex(text, /^futureopt: 2$/m);
    t.true(text.endsWith("\nlxc.init.cwd: /tmp"));
  },
);

nodeTest("with PVE 8, env is unknown and a container is privileged by default", async (t) => {
  await turnKnobs(host, { pveVersion: 8, warnings: ["a warning"] });
  const refused = await pct("create", "110", busyboxTemplate, "--env", "A=1");
  t.regex(refused.stderr, /^a warning\nUnknown option: env\n/);
  t.is((await pct("create", "110", busyboxTemplate, "--rootfs", "local:0.1")).exitCode, 0);
  await turnKnobs(host, {});
  t.notRegex(await conf("110"), /unprivileged/);
});

nodeTest("destroy leaves nothing of the conf's volumes, and purge says what it does", async (t) => {
  t.is((await pct("set", "110", "--protection", "1")).exitCode, 0);
  t.is((await pct("destroy", "110", "--force", "1")).stderr, "can't remove CT 110 - protection mode enabled");
  t.is((await pct("set", "110", "--protection", "0")).exitCode, 0);
  const { exitCode, stdout } = await pct("destroy", "110", "--purge");
  t.is(exitCode, 0);
  t.is(stdout, "purging CT 110 from related configurations..");
  t.is((await host.exec(["ls", "/var/lib/vz/images/110"])).stdout, "");
});
