import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { onOciHost, sleeping } from "./oci-host.ts";

/* Callers that meet, are killed, or say what nobody says: nothing of others is harmed, and nothing is lost in silence. */

const ociTest = onOciHost(test);

ociTest(
  "of two creates of one id at once, one fails and harms nothing of the other",
  async (t, { oci, shell, bundle, status, leftovers }) => {
    const before = await leftovers();
    const good = bundle("good", sleeping);
    const bad = bundle("bad", sleeping, (config) => {
      config.process.terminal = true; // without a socket it is refused late
    });
    for (let round = 0; round < 10; round++) {
      const { stdout } = await shell(
        `$A create -b ${bad} web >$B/said-bad 2>&1 </dev/null & $A create -b ${good} web >$B/said-good 2>&1 </dev/null; echo $?; wait`,
      );
      t.is(stdout, "0", (await shell("cat $B/said-good")).stdout);
      t.is(await status("web"), "created");
      t.is((await oci("delete", "--force", "web")).exitCode, 0);
    }
    t.is(await leftovers(), before);
  },
);

ociTest("two delete --force at once both succeed, in silence", async (t, { shell, start, leftovers }) => {
  const before = await leftovers();
  for (let round = 0; round < 10; round++) {
    await start("web", sleeping);
    const { stdout } = await shell(
      "{ $A delete --force web 2>&1 || echo failed; } & $A delete --force web 2>&1 || echo failed; wait",
    );
    t.is(stdout, "");
  }
  t.is(await leftovers(), before);
});

ociTest("what is being made is not deleted but by force", async (t, { oci, shell, bundle, status }) => {
  const folder = bundle("web", sleeping, (config) => {
    config.hooks = { prestart: [{ path: "/bin/sleep", args: ["sleep", "1"] }] };
  });
  const { stdout } = await shell(
    `$A create -b ${folder} web >$B/out 2>&1 </dev/null & until test -e /run/nexcage/.crun/web/config.json; do sleep 0.02; done; $A delete web 2>&1; wait $!; echo $?`,
  );
  t.is(stdout, "container web is being made, or that was cut off: delete --force web\n0");
  t.is(await status("web"), "created");
  t.is((await oci("delete", "web")).exitCode, 0);
});

ociTest(
  "a run -d whose runtime is killed fails, and leaves nothing",
  async (t, { detached, bundle, leftovers }) => {
    const before = await leftovers();
    const folder = bundle("web", sleeping, (config) => {
      config.hooks = { prestart: [{ path: "/bin/sh", args: ["sh", "-c", "kill -9 $PPID"] }] };
    });
    const { exitCode, stdout } = await detached("run", "-d", "-b", folder, "web");
    t.is(exitCode, 1);
    t.regex(stdout, /^run: the process that made the container was killed$/m); // its own child says it, too
    t.is(await leftovers(), before);
  },
);

ociTest(
  "a container that has a record is not made a second time, nor met by a pattern",
  async (t, { host, oci, shell, detached, bundle, start }) => {
    await shell("mkdir -p /var/lib/nexcage/containers && echo '{}' >/var/lib/nexcage/containers/web.json");
    try {
      const made = await detached("create", "--pid-file", "/run/pid", "-b", bundle("web", sleeping), "web");
      t.deepEqual(made, { exitCode: 1, stdout: "container web already exists", stderr: "" });
      await start("wet", sleeping);
      await shell("echo '{}' >/var/lib/nexcage/containers/wet.json");
      for (const words of [
        ["kill", "--regex", "^we", "KILL"],
        ["delete", "--force", "--regex", "^we"],
        ["state", "--all"],
      ])
        t.deepEqual(await oci(...words), { exitCode: 0, stdout: "", stderr: "" });
      t.is((await host.exec(["ls", "/run/nexcage/.crun"])).stdout, "wet");
    } finally {
      await shell("rm /var/lib/nexcage/containers/*");
    }
  },
);

ociTest("as many options as there are words are heard", async (t, { shell, start }) => {
  await start("web", sleeping);
  const { stdout } = await shell(
    "$A exec $(seq -f '-eN%g=1' 400) -u 1000:1000 web sh -c 'id -u; env | grep -c ^N'",
  );
  t.is(stdout, "1000\n400");
});

ociTest(
  "what is no number of descriptors is refused, and lets none of the caller's in",
  async (t, { shell, bundle, start }) => {
    await start("web", sleeping);
    const folder = bundle("other", ["/bin/ls", "/proc/self/fd"]);
    for (const words of ["--preserve-fds=x", "--preserve-fds=-3", "--preserve-fds=99999999999"]) {
      t.regex(
        (await shell(`$A run ${words} -b ${folder} other`)).stderr,
        /^--preserve-fds: "\S+" is not a number of descriptors/,
      );
      t.is((await shell(`$A exec ${words} web true`)).exitCode, 255);
    }
    const listening = await shell(`exec 7</etc/shadow; LISTEN_FDS=2147483646 $A run -b ${folder} other`);
    t.is(listening.exitCode, 1);
    t.regex(listening.stderr, /^LISTEN_FDS: "2147483646" is not/);
  },
);

ociTest(
  "exec refuses what it would not do: options beside --process, a user of -1, a paused container all the same",
  async (t, { oci, shell, start, bundle }) => {
    await start("web", sleeping);
    const file = join(bundle("process", []), "process.json");
    writeFileSync(file, JSON.stringify({ cwd: "/", env: ["PATH=/bin"], args: ["id", "-u"] }));
    t.is(
      (await oci("exec", "-p", file, "-u", "1000", "web")).stderr,
      "--user cannot stand beside --process, which says it",
    );
    for (const user of ["4294967295", "0:4294967295", "-1"])
      t.is((await oci("exec", "-u", user, "web", "id")).exitCode, 255, user);
    t.regex(
      (await oci("exec", "--ignore-paused", "web", "true")).stderr,
      /^--ignore-paused: libcrun starts nothing/,
    );
    const sub = await oci("exec", "--cgroup", "sub", "web", "true");
    t.deepEqual(sub, {
      exitCode: 255,
      stdout: "",
      stderr: "--cgroup: needs cgroup v2, and this host has v1",
    });
    t.regex((await oci("exec", "--cgroup=../..", "web", "true")).stderr, /^--cgroup: must not hold "\.\."$/);
    // Files of the container's are anybody's.
    await oci("exec", "web", "sh", "-c", "cp /etc/passwd /tmp/; rm /etc/passwd; ln -s /dev/zero /etc/passwd");
    const endless = await shell(
      "timeout 5 $A exec -u bob web id; echo $?; $A exec web sh -c 'rm /etc/passwd; cp /tmp/passwd /etc/'",
    );
    t.is(endless.stdout, "255");
    t.is(endless.stderr, '--user: the container has no user "bob"');
  },
);

ociTest("a line of the log is whole JSON, however long the message is", async (t, { shell, start }) => {
  await start("web", sleeping);
  await shell(
    `$A --log /run/long.json --log-format json exec web /bin/$(head -c 4000 /dev/zero | tr '\\0' '"')`,
  );
  const lines = (await shell("cat /run/long.json")).stdout.split("\n");
  for (const line of lines) t.true(JSON.parse(line).msg.length > 0);
});

ociTest("a client's words neither steer a terminal nor fill the host's list", async (t, { oci, start }) => {
  await start("web", sleeping, (config) => {
    config.annotations = { "io.container.manager": "\u001b[2Jevil\nx  1  running", big: "x".repeat(20_000) };
  });
  const { stdout } = await oci("list");
  t.is(stdout.split("\n").length, 2);
  t.regex(stdout, /\nweb .* root$/);
  t.true((await oci("list", "-f", "json")).stdout.length < 2_000);
});

ociTest(
  "one folder has one name: a root with a slash at its end, or dots in it, is the same",
  async (t, { oci, start }) => {
    await start("web", sleeping);
    for (const root of ["/run/nexcage/", "/run//nexcage/.", "/var/../run/nexcage"])
      t.is((await oci("--root", root, "state", "web")).exitCode, 0, root);
    const { stdout } = await oci("--root", "/run/nexcage/", "exec", "web", "cat", "/proc/self/cgroup");
    t.regex(stdout, /\/nexcage-oci\/web$/m);
  },
);
