// The stand-in against what the real pct was seen to do: the texts here are recorded ones, not its own output.
import { haveNode, host, must, nodeTest, pct } from "./node-test.ts";
import { busyboxTemplate } from "./nodes.ts";

haveNode(async () => {
  await must("pct", "create", "100", busyboxTemplate, "--rootfs", "local:0.1");
});

const noConf = "Configuration file 'nodes/pve1/lxc/555.conf' does not exist";
const badParameter = "400 Parameter verification failed.\n";
const disk = ["--rootfs", "local:0.1"];

/** Calls that are refused: words, exit code, the first lines of stderr. */
const refusals: [argv: string[], exit: number, stderr: string][] = [
  ...["status", "config", "pending", "exec", "enter", "console", "destroy", "unlock", "template"].map(
    (verb): [string[], number, string] => [[verb, "555"], 2, noConf],
  ),
  ...["listsnapshot", "fstrim", "fsck", "mount", "unmount"].map((verb): [string[], number, string] => [
    [verb, "555"],
    2,
    noConf,
  ]),
  [["set", "555", "--memory", "100"], 2, noConf],
  [["resize", "555", "rootfs", "5G"], 2, noConf],
  [["clone", "555", "556"], 2, noConf],
  [["move-volume", "555", "rootfs", "local2"], 2, noConf],
  [["snapshot", "555", "s1"], 2, noConf],
  [["df", "555"], 2, `555 doesn't exist\n${noConf}`],
  [["start", "555"], 255, noConf],
  [["stop", "555"], 255, "CT 555 not running"],
  [["shutdown", "555"], 255, "CT 555 not running"],
  [["suspend", "555"], 255, "CT 555 not running"],
  [["reboot", "555"], 255, "VM 555 not running"],
  [["push", "555", "/etc/hosts", "/x"], 255, "can only push files to a running CT"],
  [["pull", "555", "/x", "/tmp/x"], 255, "can only pull files from a running VM at "],
  [
    ["resume", "555"],
    255,
    "command 'lxc-checkpoint -n 555 -r --foreground -D /var/lib/vz/dump' failed: exit code 1",
  ],
  [["create", "100", busyboxTemplate], 2, "CT 100 already exists on node 'pve1'"],
  [
    ["create", "99", busyboxTemplate],
    2,
    `${badParameter}vmid: invalid format - value does not look like a valid VM ID\npct create <vmid> <ostemplate> [OPTIONS]`,
  ],
  [["create", "abc", busyboxTemplate], 2, `${badParameter}vmid: type check ('integer') failed - got 'abc'`],
  [["create"], 2, "400 not enough arguments"],
  [["create", "101"], 2, "400 not enough arguments"],
  [
    ["create", "101", busyboxTemplate, "--nosuchopt", "3"],
    2,
    "Unknown option: nosuchopt\n400 unable to parse option\n",
  ],
  [
    ["create", "101", busyboxTemplate, "--memory", "3"],
    2,
    `${badParameter}memory: value must have a minimum value of 16\n`,
  ],
  [
    ["create", "101", busyboxTemplate, "--memory=abc"],
    2,
    `${badParameter}memory: type check ('integer') failed - got 'abc'\n`,
  ],
  [
    ["create", "101", busyboxTemplate, "-hostname", "bad_host!"],
    2,
    `${badParameter}hostname: invalid format - value does not look like a valid DNS name\n`,
  ],
  [
    ["create", "101", busyboxTemplate, "--net0", "bridge=vmbr50"],
    2,
    `${badParameter}net0: invalid format - format error\nnet0.name: property is missing and it is not optional\n`,
  ],
  [
    ["create", "101", busyboxTemplate, "--net0", "name=eth0,bridge=vmbr50,ip=10.1.1.1"],
    2,
    `${badParameter}net0: invalid format - format error\nnet0.ip: invalid format - value does not look like a valid ipv4 network configuration\n`,
  ],
  [
    ["create", "101", busyboxTemplate, "--net0", "name=eth0,foo=1"],
    2,
    `${badParameter}net0: invalid format - format error\nnet0.foo: property is not defined in schema and the schema does not allow additional properties\n`,
  ],
  [
    ["create", "101", busyboxTemplate, "--tags", "a!b"],
    2,
    `${badParameter}tags: invalid format - invalid characters in tag\n`,
  ],
  [["snapshot", "100", "a"], 2, `${badParameter}snapname: invalid format - invalid configuration ID 'a'\n`],
  [["resize", "100", "rootfs", "5X"], 2, `${badParameter}size: value does not match the regex pattern\n`],
  [["create", "101", busyboxTemplate, "--rootfs", "nosuch:1"], 255, "storage 'nosuch' does not exist"],
  [["create", "101", "nosuch:vztmpl/x"], 255, "storage 'nosuch' does not exist"],
  [
    ["create", "103", "local:iso/x.iso"],
    255,
    "unable to use volume local:iso/x.iso - content type needs to be 'vztmpl'",
  ],
  [
    ["create", "103", "local:vztmpl/nope_1_amd64.tar.zst", ...disk],
    255,
    "unable to create CT 103 - volume 'local:vztmpl/nope_1_amd64.tar.zst' does not exist",
  ],
  [
    ["create", "103", "/nope.tar.zst", ...disk],
    255,
    "unable to create CT 103 - can't find file '/nope.tar.zst'",
  ],
  [
    ["create", "103", busyboxTemplate, ...disk, "--mp0", "/nodir,mp=/x"],
    255,
    "unable to create CT 103 - directory '/nodir' does not exist",
  ],
  [
    ["create", "103", busyboxTemplate, "--mp0", "local:1,mp=/x"],
    255,
    "mount points configured, but 'rootfs' not set - aborting",
  ],
  [
    ["create", "103", busyboxTemplate, "--pool", "x"],
    2,
    "403 Permission check failed (pool 'x' does not exist)",
  ],
  [["create", "103", busyboxTemplate, "--dev0", "/dev/nosuch"], 255, "Device /dev/nosuch does not exist"],
  [
    ["create", "103", busyboxTemplate, "--hookscript", "local:snippets/none.sh"],
    255,
    "script 'local:snippets/none.sh' does not exist",
  ],
  [["stop", "100"], 255, "CT 100 not running"],
  [["reboot", "100"], 255, "VM 100 not running"],
  [["exec", "100", "--", "true"], 255, "container '100' not running!"],
  [["exec", "100", "echo", "-n", "x"], 2, "Unknown option: n\n400 unable to parse option\n"],
  [["push", "100", "/etc/hosts", "/x"], 255, "can only push files to a running CT"],
  [
    ["set", "100", "--digest", "0".repeat(40), "--memory", "301"],
    255,
    "detected modified configuration - file changed by other user? Try again.",
  ],
  [["set", "100"], 2, "no options specified"],
  [["set", "100", "--delete", "memory"], 255, "unable to delete required option 'memory'"],
  [["set", "100", "--unprivileged", "0"], 255, "unable to modify read-only option: 'unprivileged'"],
  [["set", "100", "--delete", "nothere"], 2, `${badParameter}delete: unknown option 'nothere'\n`],
  [
    ["set", "100", "--delete", "cores", "--cores", "1"],
    2,
    `${badParameter}delete: you can't use '-cores' and -delete cores' at the same time\n`,
  ],
  [["set", "100", "--mp2", "rel,mp=/x"], 255, "unable to parse volume ID 'rel'"],
  [["set", "100", "--net1", "name=eth1,bridge=nobr"], 255, "bridge 'nobr' does not exist"],
  [
    ["set", "100", "--net1", "name=eth1,bridge=vmbr50,mtu=9000"],
    255,
    "net1: MTU size '9000' is bigger than bridge MTU '1500'",
  ],
  [["migrate", "100", "pve2"], 2, "no such cluster node 'pve2'"],
  [["migrate", "100", "pve1"], 2, `${badParameter}target: target is local node.`],
  [["unlock", "100"], 255, "no lock found trying to remove any lock"],
  [["snapshot", "100", "s1"], 255, "snapshot feature is not available"],
  [["rollback", "100", "nosuch"], 255, "snapshot 'nosuch' does not exist"],
  [["delsnapshot", "100", "nosuch"], 255, "snapshot 'nosuch' does not exist"],
  [["resize", "100", "rootfs", "1M"], 255, "unable to shrink disk size"],
  [["resize", "100", "rootfs", "102M"], 255, "disk is already at specified size"],
];

for (const [argv, exit, stderr] of refusals)
  nodeTest(`refused: pct ${argv.join(" ")}`, async (t) => {
    const result = await pct(...argv);
    t.is(result.stderr.slice(0, stderr.length), stderr);
    t.is(result.exitCode, exit);
  });

nodeTest("what was refused left no volume, mount or conf behind", async (t) => {
  const { stdout } = await host.exec([
    "sh",
    "-c",
    "ls /var/lib/vz/images /etc/pve/lxc/; grep -c rootfs /proc/mounts",
  ]);
  t.is(stdout, "/etc/pve/lxc/:\n100.conf\n\n/var/lib/vz/images:\n100\n0");
});

for (const word of ["backup", "create"])
  nodeTest(`with lock: ${word}, what changes is refused and what reads is not`, async (t) => {
    t.is((await pct("set", "100", "--lock", word)).exitCode, 0);
    for (const argv of [
      ["start"],
      ["destroy"],
      ["destroy", "--force"],
      ["set", "--memory", "99"],
      ["snapshot", "s1"],
    ]) {
      const [verb = "", ...rest] = argv;
      const { exitCode, stderr } = await pct(verb, "100", ...rest);
      t.is(exitCode, 255, verb);
      t.is(stderr, `CT is locked (${word})`, verb);
    }
    t.is((await pct("status", "100")).stdout, "status: stopped");
    t.is((await pct("unlock", "100")).exitCode, 0);
  });
