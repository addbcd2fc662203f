import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { OciState } from "../../shared/oci.ts";
import { version } from "../../shared/version.ts";
import { dist } from "../dist.ts";
import type { Bed } from "../e2e/bed.ts";
import { makeRootfs } from "../e2e/rootfs.ts";
import { busyboxTemplate, whyNoProxmox } from "../proxmox/nodes.ts";
import { makeProxmox, onHost as onHostOf } from "./bed.ts";

/*
 * What NexCage 0.7's own suite did on a Proxmox host over ssh, with its words, and the effect of each command
 * looked at from outside.
 */

const reason = whyNoProxmox();
const handTest = reason === undefined ? test.serial : test.serial.skip;

type Result = { exitCode: number | undefined; stdout: string; stderr: string };

let bed: Bed;
if (reason === undefined) {
  test.before(async () => {
    bed = await makeProxmox();
    await makeBundle();
  });
  test.after.always(() => bed?.[Symbol.asyncDispose]());
}

/** A command line on the host, as somebody types it at his own machine. */
async function ssh(line: string): Promise<Result> {
  const { keyFile, address } = bed.host("pve1");
  const options = ["-i", keyFile, "-o", `UserKnownHostsFile=${join(bed.hosts.dir, "known_hosts")}`];
  const { exitCode, stdout, stderr } = await execa(
    "ssh",
    [...options, "-F", "none", `root@${address}`, `cd ${bed.folder} && ${line}`],
    {
      reject: false,
      stdin: "ignore",
    },
  );
  return { exitCode, stdout, stderr };
}

const agent = (words: string): Promise<Result> => ssh(`${join(dist, "nexcage-agent")} ${words}`);

/** In the folder of the bed, which each of its hosts sees. */
async function onHost(script: string): Promise<string> {
  return await onHostOf(bed, `cd ${bed.folder} && ${script}`);
}

/** An OCI bundle at `bundle`, whose program ends for SIGTERM. */
async function makeBundle(): Promise<void> {
  const folder = join(bed.folder, "bundle");
  await makeRootfs(join(folder, "rootfs"));
  const program = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done";
  const config = {
    ociVersion: "1.0.2",
    process: { cwd: "/", args: ["sh", "-c", program], env: ["PATH=/bin"], user: { uid: 0, gid: 0 } },
    root: { path: "rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["mode=755"] },
    ],
    linux: { namespaces: ["pid", "mount", "ipc", "uts"].map((type) => ({ type })) },
  };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
}

async function stateOf(id: string): Promise<OciState> {
  return OciState.parse(JSON.parse((await agent(`state --name ${id}`)).stdout));
}

async function requireDone(t: ExecutionContext, words: string): Promise<string> {
  const { exitCode, stdout, stderr } = await agent(words);
  t.is(exitCode, 0, `${words}: ${stderr}`);
  return stdout;
}

// host

handTest("the program runs on a bare host, to which it was copied", async (t) => {
  await onHost(`mkdir -p copy && cp -rL ${dist}/. copy`);
  const { exitCode, stdout } = await ssh("copy/nexcage-agent version");
  t.is(exitCode, 0);
  t.is(stdout, `nexcage-agent ${version}`);
});

handTest("doctor reports the configuration, LXC's tools, storage and network of the host", async (t) => {
  const { exitCode, stdout } = await agent("doctor");
  t.is(exitCode, 0, stdout);
  t.regex(stdout, /^ok +configuration: none/m);
  t.regex(stdout, /^ok +backend lxc: /m);
  t.regex(stdout, /^ok +backend crun: 1\.21/m);
  t.regex(stdout, /^ok +backend runc: 1\./m);
  t.regex(stdout, /^ok +Proxmox VE: 9\.2\.11/m);
  t.regex(stdout, /^ok +LXC: 5\.0\.2/m);
  t.regex(stdout, /^ok +cluster: node pve1, \/etc\/pve can be written/m);
  t.regex(stdout, /^ok +storages for containers: local, local2/m);
  t.regex(stdout, /^ok +storages for templates: local/m);
  t.regex(stdout, /^ok +bridges: vmbr0, vmbr50/m);
});

// help and version

for (const command of ["", "create", "start", "stop", "delete", "list", "run", "state", "kill"])
  handTest(`--help of ${command || "the program"} says how it is used`, async (t) => {
    const { exitCode, stdout, stderr } = await agent(`${command} --help`);
    t.is(exitCode, 0);
    t.is(stderr, "");
    t.true(stdout.startsWith(`nexcage-agent ${command}`), stdout);
  });

// wrong use

const wrong: { words: string; exitCode: number; says: RegExp }[] = [
  {
    words: "create --name x --image docker.io/nginx",
    exitCode: 2,
    says: /"docker.io\/nginx" is no template/,
  },
  ...["start", "stop", "delete", "kill", "state"].map((command) => ({
    words: `${command} --name nothing`,
    exitCode: 1,
    says: /container nothing does not exist \[CONTAINER_NOT_FOUND\]/,
  })),
  { words: "run --name x --image local:vztmpl/none.tar.zst", exitCode: 1, says: /has no local:vztmpl\/none/ },
  { words: "strat --name x", exitCode: 2, says: /"strat" is not a command .*\n.*did you mean "start"\?/ },
  { words: "create", exitCode: 2, says: /create needs one container id/ },
  {
    words: "create --name x --runtime docker",
    exitCode: 2,
    says: /runtime.*"docker".*"crun", "lxc", "runc"/,
  },
  { words: "create --name x --image nothing --runtime docker", exitCode: 2, says: /"docker"/ },
];
for (const { words, exitCode, says } of wrong)
  handTest(`refused with its own message: ${words}`, async (t) => {
    const result = await agent(words);
    t.is(result.exitCode, exitCode, result.stderr);
    t.regex(result.stderr, says);
    t.is(result.stdout, "");
    t.regex((await agent("list -q")).stdout, /^$/, "and nothing is made");
  });

// configuration

const config = {
  network: { bridge: "vmbr0" },
  proxmox: { storage: "local2", rootfs_size_gb: 1, unprivileged: false, token: "root@pve!capi" },
  runtime: {
    routing: [
      { pattern: "^(kube-ovn-.*|cilium-.*)$", runtime: "crun" },
      { pattern: "vm-*", runtime: "proxmox-vm" },
      { pattern: ".*", runtime: "lxc" },
    ],
  },
};

handTest("a 0.7 config.json is obeyed, and what it says in vain is named", async (t) => {
  await writeFile(join(bed.folder, "config.json"), JSON.stringify(config));
  const { stdout } = await agent("doctor --config config.json");
  t.regex(stdout, /configuration: config\.json: bridge vmbr0, .*storage local2, .*: proxmox\.token/);
  const made = await agent(`create --config config.json --name web --image ${busyboxTemplate}`);
  t.is(made.exitCode, 0, made.stderr);
  t.regex(made.stderr, /fields=\["proxmox\.token"\]/);
  const conf = await onHost("cat /etc/pve/lxc/100.conf");
  t.regex(conf, /^net0: .*bridge=vmbr0/m);
  t.regex(conf, /^rootfs: local2:.*size=1G/m);
  t.notRegex(conf, /^unprivileged: 1/m);
  await requireDone(t, "delete --name web");
});

handTest("the configuration's routing says what runs a container, by its name", async (t) => {
  await requireDone(t, "create --config config.json --name cilium-1 --bundle bundle");
  t.is((await stateOf("cilium-1")).annotations?.["io.nexcage.backend"], "crun");
  t.is(await requireDone(t, "route cilium-1"), "crun: the container is there");
  await requireDone(t, "delete cilium-1");
  t.is(
    await requireDone(t, "route cilium-1 --config config.json"),
    "crun: config.json: its name matches ^(kube-ovn-.*|cilium-.*)$",
  );
  t.is(
    await requireDone(t, "route db"),
    "any: no configuration says it: crun for a bundle, lxc for an image",
  );
  const asVm = await agent("create --config config.json --name vm-1 --bundle bundle");
  t.is(asVm.exitCode, 1);
  t.regex(asVm.stderr, /this version has no backend vm/);
});

handTest("a configuration that is not right is refused with its place and the nearest word", async (t) => {
  await onHost("echo 'proxmox: {storge: local}' >wrong.yaml");
  const { exitCode, stderr } = await agent("list --config wrong.yaml");
  t.is(exitCode, 2);
  t.regex(stderr, /wrong\.yaml: proxmox: "storge" is not a field of it .*\n.*did you mean "storage"\?/);
});

// lifecycles

const lifecycles = [
  { runtime: "lxc", source: `--image ${busyboxTemplate}`, afterwards: "running" },
  { runtime: "crun", source: "--bundle bundle", afterwards: "stopped" },
  { runtime: "runc", source: "--bundle bundle", afterwards: "stopped" },
];
for (const { runtime, source, afterwards } of lifecycles)
  handTest(`${runtime}: create, list, start, state, kill SIGTERM, stop, state, delete`, async (t) => {
    t.timeout(120_000);
    await requireDone(t, `create --name web ${source} --runtime ${runtime}`);
    t.is((await stateOf("web")).status, "created");
    t.regex(await requireDone(t, "list"), /^web +\d+ +created/m);

    await requireDone(t, "start --name web");
    const state = await stateOf("web");
    t.is(state.status, "running");
    t.is(await onHost(`grep NSpid /proc/${state.pid}/status | cut -f3-`), "1", "its pid is the host's");
    t.regex(await onHost("cat /run/nexcage/web/state.json"), new RegExp(`"pid":${state.pid}\\b`));

    // Busybox's init reboots for SIGTERM, which is a new init; the bundle's program ends.
    const killed = await agent("kill --name web -s TERM");
    const isOver = `for i in $(seq 100); do [ -d /proc/${state.pid} ] || exit 0; sleep 0.1; done; echo there`;
    t.is(await onHost(isOver), "", `the signal has arrived: ${killed.stderr}`);
    // While a guest reboots it is stopped for a moment, and a stop has nothing to do.
    for (let looks = 0; looks < 100 && (await stateOf("web")).status !== afterwards; looks += 1)
      await sleep(100);

    await requireDone(t, "stop --name web");
    t.like(await stateOf("web"), { status: "stopped", pid: 0 });
    await requireDone(t, "delete --name web");
    t.is((await agent("state web")).exitCode, 1);
    t.is(await onHost("pct list; ls /run/nexcage | grep web"), "");
  });

handTest("run of a template returns when it runs", async (t) => {
  await requireDone(t, `run --name web --image ${busyboxTemplate}`);
  t.is((await stateOf("web")).status, "running");
  await requireDone(t, "delete --force web");
});

handTest("run of a bundle gives its output and its exit code, and leaves nothing", async (t) => {
  const script = `sed 's/trap.*done/echo out; echo err >\\&2; exit 7/' bundle/config.json`;
  await onHost(`cp -r bundle short; ${script} >short/config.json`);
  const { exitCode, stdout, stderr } = await agent("run --name short --bundle short");
  t.is(exitCode, 7, stderr);
  t.is(stdout, "out");
  t.is(stderr, "err");
  t.is((await agent("list -q")).stdout, "");
});

// performance

handTest("the start of --help and the memory of the agent are reported, not judged", async (t) => {
  const { stdout } = await ssh(
    `s=$(date +%s%N); ${join(dist, "nexcage-agent")} --help >/dev/null; echo $(( ($(date +%s%N) - s) / 1000000 ))`,
  );
  const rss = await onHost(
    `mkfifo fifo; ${join(dist, "nexcage-agent")} serve --stdio <fifo >said & exec 3>fifo
until grep -q ready said; do :; done; grep VmRSS /proc/$!/status; kill $!`,
  );
  t.log(`--help: ${stdout} ms; ${rss}`);
  t.regex(stdout, /^\d+$/);
  t.regex(rss, /^VmRSS:\s+\d+ kB$/);
});
