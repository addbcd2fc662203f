import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { type Config, type OciHost, onOciHost, sleeping } from "./oci-host.ts";

const ociTest = onOciHost(test);

/** What clients read of a failure: one bare line, and the exit code. The words are those that they look for. */
const failures: {
  title: string;
  before?: (oci: OciHost) => Promise<unknown>;
  words: string[];
  exitCode: number;
  said: RegExp;
}[] = [
  { title: "state of none", words: ["state", "none"], exitCode: 1, said: /^container does not exist: none$/ },
  { title: "start of none", words: ["start", "none"], exitCode: 1, said: /^container does not exist: none$/ },
  { title: "kill of none", words: ["kill", "none"], exitCode: 1, said: /^container does not exist: none$/ },
  {
    title: "delete of none",
    words: ["delete", "none"],
    exitCode: 1,
    said: /^container does not exist: none$/,
  },
  { title: "ps of none", words: ["ps", "none"], exitCode: 1, said: /^container does not exist: none$/ },
  {
    title: "exec in none",
    words: ["exec", "none", "true"],
    exitCode: 1,
    said: /^container does not exist: none$/,
  },
  { title: "pause of none", words: ["pause", "none"], exitCode: 1, said: /^container does not exist: none$/ },
  { title: "what is no id", words: ["state", "../none"], exitCode: 1, said: /^not a container id: / },
  {
    title: "an id that is taken",
    words: ["create", "-b", "BUNDLE", "web"],
    exitCode: 1,
    said: /^container web already exists$/,
  },
  {
    title: "delete of a running one",
    words: ["delete", "web"],
    exitCode: 1,
    said: /^cannot delete container web that is not stopped: running$/,
  },
  {
    title: "start of a running one",
    words: ["start", "web"],
    exitCode: 1,
    said: /^cannot start an already running container: web$/,
  },
  {
    title: "a signal that is none",
    words: ["kill", "web", "NOSIG"],
    exitCode: 1,
    said: /^"NOSIG" is not a signal$/,
  },
  {
    title: "exec of nothing",
    words: ["exec", "web"],
    exitCode: 255,
    said: /^exec needs a command: exec web COMMAND$/,
  },
  {
    title: "exec of what is not there",
    words: ["exec", "web", "nope"],
    exitCode: 255,
    said: /^executable file `nope` not found in \$PATH: No such file or directory$/,
  },
  {
    title: "exec of what cannot be run",
    words: ["exec", "web", "/etc/passwd"],
    exitCode: 255,
    said: /is not executable: Operation not permitted$/,
  },
  {
    title: "exec in a folder that is not there",
    words: ["exec", "--cwd", "/none", "web", "true"],
    exitCode: 255,
    said: /none/,
  },
  {
    title: "exec in a paused one",
    before: ({ oci }) => oci("pause", "web"),
    words: ["exec", "web", "true"],
    exitCode: 1,
    said: /^the container web is paused$/,
  },
  {
    title: "a stopped one: start",
    before: stopped,
    words: ["start", "web"],
    exitCode: 1,
    said: /^cannot start a container that has stopped: web$/,
  },
  {
    title: "a stopped one: kill",
    before: stopped,
    words: ["kill", "web", "0"],
    exitCode: 1,
    said: /^container not running: web$/,
  },
  {
    title: "a stopped one: exec",
    before: stopped,
    words: ["exec", "web", "true"],
    exitCode: 1,
    said: /^the container web is not running$/,
  },
  {
    title: "a stopped one: pause",
    before: stopped,
    words: ["pause", "web"],
    exitCode: 1,
    said: /^container not running: web$/,
  },
  {
    title: "a stopped one: update",
    before: stopped,
    words: ["update", "--memory", "1m", "web"],
    exitCode: 1,
    said: /^container not running: web$/,
  },
  {
    title: "systemd's cgroups",
    words: ["--systemd-cgroup", "create", "-b", "BUNDLE", "new"],
    exitCode: 1,
    said: /^--systemd-cgroup is not built in: .*cgroup_manager = "cgroupfs"/,
  },
  { title: "an unknown option", words: ["create", "--nope", "new"], exitCode: 2, said: /nope/ },
  { title: "no id", words: ["start"], exitCode: 2, said: /needs one container id/ },
  {
    title: "checkpoint",
    words: ["checkpoint", "--help"],
    exitCode: 2,
    said: /^nexcage-agent: checkpoint is not built in/,
  },
];

for (const { title, before, words, exitCode, said } of failures)
  ociTest(`refused: ${title}`, async (t, host) => {
    await host.start("web", sleeping);
    await before?.(host);
    const found = await host.leftovers();
    const given = words.map((word) => (word === "BUNDLE" ? host.bundle("other", sleeping) : word));
    const result = await host.oci(...given);
    t.is(result.exitCode, exitCode, result.stderr);
    t.is(result.stdout, "");
    t.regex(result.stderr, said);
    t.is(await host.leftovers(), found);
  });

async function stopped({ oci, shell }: OciHost): Promise<void> {
  await oci("kill", "web", "KILL");
  await shell("until $A state web | grep -q stopped; do sleep 0.02; done");
}

/** Bundles that are none, with the place of the mistake; nothing is made of them. */
const bundles: { title: string; edit: (config: Config) => unknown; said: RegExp }[] = [
  {
    title: "no args",
    edit: ({ process }) => process.args.splice(0),
    said: /^process\.args: is missing or empty$/,
  },
  {
    title: "a program that is not there",
    edit: ({ process }) => process.args.splice(0, 9, "/nope"),
    said: /^executable file `\/nope` not found.*No such file or directory$/,
  },
  {
    title: "a program that cannot be run",
    edit: ({ process }) => process.args.splice(0, 9, "/etc/passwd"),
    said: /is not executable: Operation not permitted$/,
  },
  {
    title: "no root",
    edit: ({ root }) => Object.assign(root, { path: "" }),
    said: /^root\.path: is missing$/,
  },
  {
    title: "a root that is not there",
    edit: ({ root }) => Object.assign(root, { path: "/none" }),
    said: /^root\.path: \/none/,
  },
  {
    title: "no linux",
    edit: (config) => Reflect.deleteProperty(config, "linux"),
    said: /^linux: is missing$/,
  },
  {
    title: "nothing on /dev",
    edit: ({ mounts }) => mounts.splice(1, 2),
    said: /^mounts: nothing is mounted on \/dev/,
  },
  {
    title: "network devices",
    edit: ({ linux }) => Object.assign(linux, { netDevices: {} }),
    said: /^linux\.netDevices: /,
  },
  {
    title: "a schema of Intel RDT's that is not known",
    edit: ({ linux }) => Object.assign(linux, { intelRdt: { schemata: ["MB:0=20"] } }),
    said: /^linux\.intelRdt\.schemata: /,
  },
  {
    title: "a memory policy",
    edit: ({ linux }) => Object.assign(linux, { memoryPolicy: {} }),
    said: /^linux\.memoryPolicy: /,
  },
  {
    title: "no mount namespace",
    edit: ({ linux }) => Object.assign(linux, { namespaces: [{ type: "pid" }] }),
    said: /^linux\.namespaces: no "mount": what is mounted for it would stay on the host$/,
  },
  {
    title: "a path out of the cgroups",
    edit: ({ linux }) => Object.assign(linux, { cgroupsPath: "/../x" }),
    said: /^linux\.cgroupsPath: must not hold "\.\."$/,
  },
  {
    title: "a source that is not there",
    edit: ({ mounts }) =>
      mounts.push({ destination: "/mnt", type: "bind", source: "/none", options: ["bind"] }),
    said: /none/,
  },
  {
    title: "a rlimit that is none",
    edit: ({ process }) => Object.assign(process, { rlimits: [{ type: "RLIMIT_NOPE", soft: 1, hard: 1 }] }),
    said: /RLIMIT_NOPE/,
  },
  {
    title: "a namespace that is none",
    edit: ({ linux }) => Object.assign(linux, { namespaces: [{ type: "mount" }, { type: "nope" }] }),
    said: /nope/,
  },
  {
    title: "a hook that fails",
    edit: (config) => Object.assign(config, { hooks: { createRuntime: [{ path: "/bin/false" }] } }),
    said: /hook/,
  },
  {
    title: "a hook that is not there",
    edit: (config) => Object.assign(config, { hooks: { prestart: [{ path: "/none" }] } }),
    said: /hook/,
  },
];

for (const { title, edit, said } of bundles)
  ociTest(`a bundle with ${title} makes nothing, by create and by run`, async (t, host) => {
    const before = await host.leftovers();
    const folder = host.bundle("web", sleeping, edit);
    for (const verb of ["create", "run"]) {
      const { exitCode, stdout } = await host.detached(
        verb,
        "--bundle",
        folder,
        "--pid-file",
        `${folder}/pid`,
        "web",
      );
      t.is(exitCode, 1, `${verb}: ${stdout}`);
      t.regex(stdout, said, verb);
      t.is(stdout.split("\n").length, 1, verb);
    }
    t.is((await host.shell(`test ! -e ${folder}/pid`)).exitCode, 0);
    t.is(await host.leftovers(), before);
  });

ociTest(
  "config.json that is missing, cut off or not JSON is named, with why",
  async (t, { detached, bundle }) => {
    const folder = bundle("web", sleeping);
    writeFileSync(join(folder, "config.json"), "{");
    t.regex(
      (await detached("create", "-b", folder, "web")).stdout,
      /^config\.json: parse error: premature EOF/,
    );
    writeFileSync(join(folder, "config.json"), "[]");
    t.regex((await detached("create", "-b", folder, "web")).stdout, /^config\.json: /);
    t.regex(
      (await detached("create", "-b", join(folder, ".."), "web")).stdout,
      /^config\.json: No such file or directory$/,
    );
    t.regex(
      (await detached("create", "-b", "/none", "web")).stdout,
      /^the bundle \/none: No such file or directory$/,
    );
  },
);

ociTest(
  "with --log the error's line is appended there as clients parse it, and stderr has it bare",
  async (t, { oci, shell }) => {
    t.is(
      (await shell("rm -f $B/log; $A --log $B/log --log-format json --debug state none; stat -c %a $B/log"))
        .stdout,
      "600",
    );
    const json = await oci("--log=/run/log.json", "--log-format=json", "state", "none");
    t.deepEqual(json, { exitCode: 1, stdout: "", stderr: "container does not exist: none" });
    await oci("--log", "file:/run/log.json", "--log-format", "json", "exec", "none", "true");
    await oci("--log", "/run/log.json", "start", "none");
    const lines = (await shell("cat /run/log.json")).stdout.split("\n");
    t.is(lines.length, 3);
    for (const line of lines.slice(0, 2)) {
      t.like(JSON.parse(line), { msg: "container does not exist: none", level: "error" });
      t.regex(JSON.parse(line).time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    }
    t.regex(lines[2] ?? "", /^time="[^"]+" level=error msg="container does not exist: none"$/);
    const { stderr } = await oci("--log", "/none/log", "state", "none");
    t.is(stderr, "--log: cannot open /none/log (ENOENT)");
  },
);

ociTest(
  "what libcrun itself says is in the log, too: a missing program, and with --debug each step",
  async (t, { shell, bundle, start }) => {
    const folder = bundle("other", ["/nope"]);
    await shell(`$A --log /run/other.json --log-format json create -b ${folder} other`);
    const line = (await shell('grep \'"level":"error"\' /run/other.json')).stdout;
    t.regex(JSON.parse(line).msg, /^executable file `\/nope` not found/);
    await start("web", sleeping);
    await shell("$A --log /run/exec.json --log-format json exec -d web nope >/dev/null 2>&1");
    const said = (await shell("cat /run/exec.json")).stdout.split("\n").map((one: string) => JSON.parse(one));
    t.true(
      said.some(
        ({ msg, level }: { msg: string; level: string }) =>
          level === "error" && msg.startsWith("executable file `nope` not found"),
      ),
    );
    await shell(
      `$A --debug --log /run/debug.json --log-format json create -b ${bundle("third", sleeping)} third </dev/null >/dev/null 2>&1`,
    );
    t.true((await shell('grep -c \'"level":"debug"\' /run/debug.json')).stdout !== "0");
  },
);

ociTest(
  "on a full disk create fails with the reason, and leaves nothing; with space it works",
  async (t, { host, detached, bundle, shell, leftovers }) => {
    const folder = bundle("web", sleeping);
    await shell("mkdir -p /run/full");
    await host.mountSmall("/run/full", 4096 * 4);
    const before = await leftovers();
    await shell("mkdir -p /run/full/.crun && dd if=/dev/zero of=/run/full/fill bs=1k count=100 2>/dev/null");
    const failed = await detached("--root", "/run/full", "create", "-b", folder, "web");
    t.is(failed.exitCode, 1);
    t.regex(failed.stdout, /No space left on device/);
    t.is((await shell("ls /run/full/.crun | wc -l; rm /run/full/fill")).stdout, "0");
    t.is(await leftovers(), before);
    t.is((await detached("--root", "/run/full", "create", "-b", folder, "web")).exitCode, 0);
    await detached("--root", "/run/full", "delete", "--force", "web");
    await shell("umount /run/full");
  },
);

for (const verb of ["create", "run"])
  ociTest(
    `a ${verb} that is killed at any moment leaves what delete --force removes`,
    async (t, { shell, bundle, leftovers }) => {
      const before = await leftovers();
      const folder = bundle("web", sleeping);
      for (let delay = 0; delay <= 30; delay += 2) {
        await shell(
          `$A ${verb} -b ${folder} web >/dev/null 2>&1 & pid=$!; sleep 0.0${String(delay).padStart(2, "0")}; kill -KILL $pid; wait $pid 2>/dev/null; $A delete --force web; echo $?`,
        );
        t.is(await leftovers(), before, `after ${delay} ms`);
      }
    },
  );
