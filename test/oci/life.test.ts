import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { obedient, onOciHost, sleeping } from "./oci-host.ts";

const ociTest = onOciHost(test);

const silent = { exitCode: 0, stdout: "", stderr: "" };

ociTest(
  "a life from create to delete says nothing, and each step does what it says",
  async (t, { oci, shell, bundle, status, leftovers, detached }) => {
    const before = await leftovers();
    const folder = bundle("web", sleeping);
    t.deepEqual(await detached("create", "--bundle", folder, "--pid-file", `${folder}/pid`, "web"), silent);
    const created = JSON.parse((await oci("state", "web")).stdout);
    t.like(created, { ociVersion: "1.0.0", id: "web", status: "created", bundle: folder, owner: "root" });
    t.is((await shell(`cat ${folder}/pid`)).stdout, String(created.pid));
    t.is((await shell(`cat /proc/${created.pid}/comm`)).exitCode, 0);
    t.deepEqual(await oci("start", "web"), silent);
    t.is(await status("web"), "running");
    t.is((await shell(`tr '\\0' ' ' </proc/${created.pid}/cmdline`)).stdout, "/bin/sleep 1000 ");
    t.deepEqual(await oci("pause", "web"), silent);
    t.is(await status("web"), "paused");
    t.deepEqual(await oci("resume", "web"), silent);
    t.deepEqual(await oci("resume", "web"), silent, "twice is no error");
    t.is(await status("web"), "running");
    t.deepEqual(await oci("kill", "web", "9"), silent);
    t.is(
      (await shell('until [ "$($A state web | grep -c \'"stopped"\')" = 1 ]; do sleep 0.02; done')).exitCode,
      0,
    );
    t.like(JSON.parse((await oci("state", "web")).stdout), { status: "stopped", pid: 0 });
    t.deepEqual(await oci("delete", "web"), silent);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "what is created and never started is deleted without force",
  async (t, { oci, bundle, leftovers, detached }) => {
    const before = await leftovers();
    await detached("create", "-b", bundle("web", sleeping), "web");
    t.deepEqual(await oci("delete", "web"), silent);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "delete --force ends what runs, freezes or was never there, in silence, as often as it is said",
  async (t, { oci, start, leftovers }) => {
    const before = await leftovers();
    await start("web", ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
    await start("frozen", sleeping);
    await oci("pause", "frozen");
    for (const id of ["web", "frozen", "web", "none"])
      t.deepEqual(await oci("delete", "--force", id), silent, id);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "a value comes after a space, after =, or at its letter; what follows the id of an exec is the command's",
  async (t, { oci, bundle, start, detached }) => {
    const folder = bundle("web", sleeping);
    for (const [at, words] of [
      `--bundle ${folder}`,
      `--bundle=${folder}`,
      `-b ${folder}`,
      `-b=${folder}`,
      `-b${folder}`,
    ].entries()) {
      t.deepEqual(await detached("create", ...words.split(" "), `web${at}`), silent, words);
      await oci("delete", `web${at}`);
    }
    await start("web", sleeping);
    t.is(
      (
        await oci(
          "exec",
          "--env",
          "A=1",
          "-e=B=2",
          "-eC=3",
          "web",
          "sh",
          "-c",
          "echo $A $B $C $0",
          "--env",
          "x",
        )
      ).stdout,
      "1 2 3 --env",
    );
    t.is((await oci("exec", "web", "--", "echo", "--", "-e")).stdout, "-- -e");
    t.deepEqual(await oci("kill", "--all", "web", "KILL"), silent);
  },
);

ociTest(
  "podman's kill and delete come without PATH and HOME, and with an empty XDG_RUNTIME_DIR",
  async (t, { host, shell, start }) => {
    await start("web", obedient);
    t.is((await shell("env -i XDG_RUNTIME_DIR= $A kill web 15; echo $?")).stdout, "0");
    t.is(
      (
        await shell(
          "until ! $A state web | grep -q running; do sleep 0.02; done; env -i XDG_RUNTIME_DIR= $A delete --force web; echo $?",
        )
      ).stdout,
      "0",
    );
    t.deepEqual((await host.exec(["ls", "/run/nexcage/.crun"])).stdout, "");
  },
);

ociTest(
  "it works under any name, through a link, and from any folder",
  async (t, { host, program, shell, start }) => {
    const place = join(host.dir, "place");
    mkdirSync(place);
    symlinkSync(program, join(place, "crun"));
    await start("web", sleeping);
    t.is((await shell(`cd / && ${place}/crun exec web echo works`)).stdout, "works");
    mkdirSync(join(place, "bin"));
    mkdirSync(join(place, "lib/nexcage"), { recursive: true });
    for (const name of ["nexcage-agent", "lib/nexcage/nexcage-oci"]) {
      const to = join(place, name === "nexcage-agent" ? "bin/oci" : name);
      copyFileSync(join(program, "..", name), to);
      chmodSync(to, 0o755);
    }
    t.is((await shell(`cd ${place}/bin && ./oci exec web echo works`)).stdout, "works", "it needs no Node");
  },
);

ociTest("the version names the program, the specification and what is built in", async (t, { oci }) => {
  const { stdout } = await oci("--version");
  t.regex(
    stdout,
    /^nexcage-agent \d+\.\d+\.\d+\nspec: 1\.\d\.\d\nlibcrun: 1\.21\n\+APPARMOR \+CAP \+SECCOMP/,
  );
  t.is((await oci("-v")).stdout, stdout);
});

ociTest("spec writes a config.json that runs, and overwrites none", async (t, { oci, shell }) => {
  const folder = (await shell("mkdir -p $B/new && cp -a $B/rootfs $B/new/ && echo $B/new")).stdout;
  t.deepEqual(await oci("spec", "--bundle", folder), silent);
  t.deepEqual(await oci("spec", "--bundle", folder), {
    exitCode: 1,
    stdout: "",
    stderr: "`config.json` already exists",
  });
  t.is(
    (
      await shell(
        'cd $B/new && sed -i \'s/"terminal": true/"terminal": false/; s/"sh"/"echo", "made"/; s/"rlimits": \\[/"rlimitsOld": [/\' config.json && $A run made',
      )
    ).stdout,
    "made",
  );
});

ociTest(
  "each container whose id matches: kill, delete and state with --regex; state --all",
  async (t, { oci, start, shell }) => {
    for (const id of ["test-1", "test-2", "other"]) await start(id, sleeping);
    t.is([...(await oci("state", "--all")).stdout.matchAll(/"id": "(.*)"/g)].length, 3);
    t.deepEqual(
      [...(await oci("state", "--regex", "^test")).stdout.matchAll(/"id": "(.*)"/g)]
        .map(([, id]) => id)
        .sort(),
      ["test-1", "test-2"],
    );
    t.deepEqual(await oci("kill", "--regex", "test-.*", "KILL"), silent);
    await shell('until [ "$($A state -r test | grep -c stopped)" = 2 ]; do sleep 0.02; done');
    t.deepEqual(await oci("delete", "--force", "--regex", "test-.*"), silent);
    t.is((await oci("list", "-q")).stdout, "other");
    const wrong = await oci("delete", "--regex", "(");
    t.is(wrong.exitCode, 1);
    t.regex(wrong.stderr, /^--regex "\(": .+$/);
  },
);

ociTest("ps shows every process, and as JSON their pids on the host", async (t, { oci, start }) => {
  await start("web", ["/bin/sh", "-c", "sleep 1000 & wait"]);
  const pids = JSON.parse((await oci("ps", "--format", "json", "web")).stdout);
  t.is(pids.length, 2);
  const lines = (await oci("ps", "web")).stdout.split("\n");
  t.regex(lines[0] ?? "", /^PID +PPID +UID +COMMAND$/);
  t.deepEqual(
    lines
      .slice(1)
      .map((line: string) => Number(line.split(" ")[0]))
      .sort(),
    pids.sort(),
  );
  t.true(lines.some((line: string) => line.endsWith("sleep 1000")));
});

ociTest(
  "update sets limits by option, in units, from a file or stdin; the others stay",
  async (t, { oci, shell, start }) => {
    await start("web", sleeping);
    const limit = async (file: string) =>
      (await shell(`cat /sys/fs/cgroup/${file.split(".")[0]}/nexcage-oci/web/${file}`)).stdout;
    t.deepEqual(await oci("update", "--memory", "64m", "--pids-limit=40", "web"), silent);
    t.is(await limit("memory.limit_in_bytes"), String(64 * 1024 ** 2));
    t.is(await limit("pids.max"), "40");
    t.deepEqual(await shell(`echo '{"pids":{"limit":50}}' | $A update -r - web`), silent);
    t.deepEqual(
      await shell(`echo '{"cpu":{"shares":77}}' >$B/limits; $A update --resources=$B/limits web`),
      silent,
    );
    t.is(await limit("pids.max"), "50");
    t.is(await limit("cpu.shares"), "77");
    t.is(await limit("memory.limit_in_bytes"), String(64 * 1024 ** 2));
    for (const [words, said] of [
      [["--memory", "64q"], '--memory: "64q" is not a number of bytes, as in 64m'],
      [["--pids-limit", "many"], '--pids-limit: "many" is not a number'],
      [["--resources", "/none"], "--resources: cannot open /none (ENOENT)"],
    ] as const)
      t.deepEqual(await oci("update", ...words, "web"), { exitCode: 1, stdout: "", stderr: said });
  },
);

ociTest(
  "events tells what a container uses, in the specification's words, until it ends",
  async (t, { oci, shell, start }) => {
    await start("web", ["/bin/sh", "-c", "while :; do :; done"]);
    await oci("update", "--memory", "64m", "--pids-limit", "40", "web");
    const { type, id, data } = JSON.parse((await oci("events", "--stats", "web")).stdout);
    t.like({ type, id }, { type: "stats", id: "web" });
    t.true(data.cpu.usage.total > 0);
    t.is(data.memory.usage.limit, 64 * 1024 ** 2);
    t.deepEqual(data.pids, { current: 1, limit: 40 });
    const lines = (
      await shell(
        "$A events --interval 50ms web >$B/events & sleep 0.3; $A kill web KILL; wait; cat $B/events",
      )
    ).stdout.split("\n");
    t.true(lines.length >= 2);
    for (const line of lines) t.is(JSON.parse(line).type, "stats");
    t.regex((await oci("events", "--interval", "soon", "web")).stderr, /^--interval: "soon" is not a time/);
  },
);

ociTest("annotations are told with the state, and an empty set is not", async (t, { oci, start }) => {
  await start("web", sleeping, (config) => {
    config.annotations = { "a.b": "c" };
  });
  await start("plain", sleeping);
  t.deepEqual(JSON.parse((await oci("state", "web")).stdout).annotations, { "a.b": "c" });
  t.false("annotations" in JSON.parse((await oci("state", "plain")).stdout));
});

ociTest("another file stands in for config.json", async (t, { shell, bundle }) => {
  const folder = bundle("web", ["/bin/echo", "wrong"]);
  const other = bundle("other", ["/bin/echo", "right"]);
  t.is((await shell(`cd ${folder} && $A run -f ${other}/config.json web`)).stdout, "right");
  writeFileSync(join(folder, "near.json"), "{");
  t.regex((await shell(`cd ${folder} && $A run --config near.json web`)).stderr, /^config.json: /);
});

ociTest(
  "a capability that is none is left out, with a warning in the log and silence on stderr",
  async (t, { shell, bundle }) => {
    const folder = bundle("web", ["/bin/grep", "CapBnd", "/proc/self/status"], (config) => {
      config.process.capabilities = { bounding: ["CAP_NOPE", "CAP_KILL"] };
    });
    const run = await shell(`$A --log /run/warned.json --log-format json run -b ${folder} web`);
    t.deepEqual(run, { exitCode: 0, stdout: "CapBnd:\t0000000000000020", stderr: "" });
    const { stdout } = await shell("grep CAP_NOPE /run/warned.json");
    t.like(JSON.parse(stdout.split("\n")[0] ?? ""), { level: "warning", msg: "unknown cap: `CAP_NOPE`" });
  },
);

for (const ociVersion of ["1.0.0", "1.1.0", "1.2.1", "1.3.0"])
  ociTest(`a bundle of version ${ociVersion} of the specification runs`, async (t, { shell, bundle }) => {
    const folder = bundle("web", ["/bin/echo", "runs"], (config) => {
      config.ociVersion = ociVersion;
    });
    t.is((await shell(`$A run -b ${folder} web`)).stdout, "runs");
  });
