import { join } from "node:path";
import test from "ava";
import { type OciHost, obedient, onOciHost, sleeping } from "./oci-host.ts";

const ociTest = onOciHost(test);

/** Makes a container as an agent of a fleet does it: with a record, a monitor and a log. */
async function makeRecorded({ host, program, bundle }: OciHost, id: string): Promise<void> {
  const folder = bundle(id, obedient, (config) => {
    config.linux.cgroupsPath = `/nexcage/${id}`;
  });
  const agent = join(program, "../lib/nexcage");
  const made = await host.exec([
    join(agent, "nexcage-launch"),
    join(agent, "node"),
    join(agent, "nexcage-agent.cjs"),
    "run",
    "-d",
    "--bundle",
    folder,
    id,
  ]);
  if (made.exitCode !== 0) throw new Error(made.stderr);
}

ociTest(
  "list, state and ps show an OCI client's container, with whose it is; logs says where its output went",
  async (t, { oci, start }) => {
    await start("pod", sleeping, (config) => {
      config.annotations = { "io.container.manager": "libpod" };
    });
    await start("mine", sleeping);
    const rows = (await oci("list")).stdout.split("\n");
    t.regex(rows[0] ?? "", /^ID +PID +STATUS +BUNDLE +CREATED +OWNER$/);
    t.regex(rows[1] ?? "", /^mine +\d+ +running +\S+\/mine +\d{4}-\S+Z +root$/);
    t.regex(rows[2] ?? "", /^pod +\d+ +running +\S+\/pod +\d{4}-\S+Z +podman$/);
    const entries = JSON.parse((await oci("list", "-f", "json")).stdout);
    t.like(entries[1], {
      id: "pod",
      status: "running",
      owner: "root",
      client: "podman",
      annotations: { "io.container.manager": "libpod" },
    });
    t.like(JSON.parse((await oci("state", "-o", "json", "pod")).stdout), { id: "pod", status: "running" });
    const logs = await oci("logs", "pod");
    t.is(logs.exitCode, 1);
    t.regex(
      logs.stderr,
      /^nexcage-agent: container pod is podman's, and its output is not kept here \[REFUSED\]\nhint: it went to/,
    );
    t.is((await oci("list")).stderr, "", "nothing of it is taken for a loss");
  },
);

ociTest(
  "a container with a record is the agent's at both doors: its rules hold, whoever asks",
  async (t, host) => {
    const { oci, start, shell } = host;
    await makeRecorded(host, "web");
    t.like(JSON.parse((await oci("state", "web")).stdout), {
      status: "running",
      annotations: { "io.nexcage.backend": "crun" },
    });
    t.regex((await oci("logs", "web")).stdout, /ready/);
    t.is((await oci("exec", "web", "echo", "inside")).stdout, "inside", "without -- too");
    const refused = await oci("delete", "web");
    t.regex(refused.stderr, /CONTAINER_RUNNING/);
    t.regex((await oci("update", "--memory", "64m", "web")).stderr, /is not an OCI client's/);
    t.regex(
      (await oci("exec", "--cap", "CAP_KILL", "web", "true")).stderr,
      /--cap is for containers of OCI clients/,
    );
    await t.throwsAsync(start("web", sleeping), { message: /already exists/ });
    t.is((await oci("kill", "web", "TERM")).exitCode, 0);
    await shell("until $A state web | grep -q stopped; do sleep 0.05; done");
    t.like(JSON.parse((await oci("state", "web")).stdout), { annotations: { "io.nexcage.exit-code": "7" } });
    t.is((await oci("delete", "web")).exitCode, 0);
    t.is((await shell("ls /var/lib/nexcage/containers")).stdout, "");
  },
);

ociTest("an id that an OCI client has is taken for the agent, too", async (t, host) => {
  await host.start("web", sleeping);
  await t.throwsAsync(makeRecorded(host, "web"), { message: /CONTAINER_EXISTS/ });
  t.is(await host.status("web"), "running");
});

ociTest(
  "two roots share nothing: one id twice, and two cgroups",
  async (t, { oci, detached, bundle, shell, status }) => {
    const folder = bundle("web", sleeping);
    for (const root of ["/run/one", "/run/two"]) {
      t.is((await detached("--root", root, "create", "-b", folder, "web")).exitCode, 0);
      t.is((await oci("--root", root, "start", "web")).exitCode, 0);
    }
    t.regex((await oci("state", "web")).stderr, /does not exist/);
    const pids = await Promise.all(
      ["/run/one", "/run/two"].map(async (root) =>
        JSON.parse((await oci("--root", root, "ps", "-f", "json", "web")).stdout),
      ),
    );
    t.deepEqual(
      pids.map((list) => list.length),
      [1, 1],
    );
    t.is(
      (await shell("cd /run && $A --root one state web | grep -c running")).stdout,
      "1",
      "a root may be relative",
    );
    for (const root of ["/run/one", "/run/two"])
      t.is((await oci("--root", root, "delete", "-f", "web")).exitCode, 0);
    await detached("create", "-b", folder, "web");
    t.is(await status("web"), "created");
  },
);

ociTest(
  "the host's settings route by name; what only an OCI runtime can hold goes to libcrun all the same",
  async (t, { oci, shell, detached, bundle }) => {
    const folder = bundle("web", sleeping);
    await shell(
      'mkdir -p /etc/nexcage && printf \'runtime:\\n  routing:\\n    - pattern: "^kube-"\\n      runtime: crun\\n    - pattern: ".*"\\n      runtime: lxc\\n\' >/etc/nexcage/config.yaml',
    );
    try {
      t.is((await detached("create", "-b", folder, "kube-proxy")).exitCode, 0);
      t.like(JSON.parse((await oci("state", "kube-proxy")).stdout), { owner: "root" }, "by this door");
      t.regex(
        (await detached("create", "-b", folder, "web")).stdout,
        /BACKEND_UNAVAILABLE.*\n?.*/,
        "there is no Proxmox VE here",
      );
      t.is((await detached("create", "-b", folder, "--pid-file", "/run/pid", "web")).exitCode, 0);
      t.is((await detached("create", "-b", folder, "--runtime", "crun", "web2")).exitCode, 0);
      t.regex(
        (await detached("create", "-b", folder, "--runtime", "lxc", "--pid-file", "/run/pid", "web3")).stdout,
        /--pid-file is for containers of OCI clients/,
      );
      t.is((await oci("route", "--quiet", "kube-x")).stdout, "crun");
      t.is((await oci("route", "--quiet", "x")).stdout, "lxc");
    } finally {
      await shell("rm -r /etc/nexcage");
    }
  },
);

ociTest(
  "a guest of Proxmox's that carries the id is left to the agent, who looks closer",
  async (t, { oci, shell }) => {
    await shell("mkdir -p /etc/pve/lxc && echo 'description: web' >/etc/pve/lxc/100.conf");
    try {
      t.regex((await oci("state", "web")).stderr, /\[CONTAINER_NOT_FOUND\]/);
      t.is((await oci("state", "other")).stderr, "container does not exist: other");
    } finally {
      await shell("rm -r /etc/pve/lxc");
    }
  },
);

ociTest("features has what OCI clients read, and what the host can run", async (t, { oci }) => {
  const { ociVersionMin, ociVersionMax, hooks, mountOptions, linux, backends } = JSON.parse(
    (await oci("features")).stdout,
  );
  t.is(ociVersionMin, "1.0.0");
  t.regex(ociVersionMax, /^1\.\d/);
  t.deepEqual(hooks, [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
  ]);
  t.true(mountOptions.includes("ro"));
  t.true(linux.namespaces.includes("pid") && linux.seccomp.enabled);
  t.deepEqual(
    backends.map(({ name }: { name: string }) => name),
    ["crun", "lxc", "runc"],
  );
});

ociTest(
  "who makes a container of an id is the only one, through either door, and only while it is made",
  async (t, { detached, bundle, shell }) => {
    const folder = bundle("web", obedient);
    await shell(
      "mkdir -p -m 700 /run/lock/nexcage; flock /run/lock/nexcage/container-web sleep 1 >/dev/null 2>&1 &",
    );
    await shell("until ! flock -n /run/lock/nexcage/container-web true; do sleep 0.02; done");
    const busy = await detached("create", "--lock-timeout", "100ms", "-b", folder, "web");
    t.is(busy.exitCode, 1);
    t.regex(busy.stdout, /container-web is held: another command has worked on this container for 0\.1 s$/);
    t.is((await detached("create", "-b", folder, "web")).exitCode, 0, "it waits");
    const running = await shell(
      `rm -f $B/out; $A run -b ${folder} other >$B/out 2>&1 & until grep -q ready $B/out 2>/dev/null; do sleep 0.02; done; ls /run/lock/nexcage`,
    );
    t.notRegex(running.stdout, /container-/);
    await shell("chmod 777 /run/lock/nexcage");
    t.regex(
      (await detached("create", "-b", folder, "third")).stdout,
      /^\/run\/lock\/nexcage belongs to uid 0, or others may write there/,
    );
    await shell("chmod 700 /run/lock/nexcage");
  },
);

ociTest(
  "another user has a root of their own, and sees nothing of root's",
  async (t, { program, oci, shell, start }) => {
    await start("web", sleeping);
    await shell(`umask 022; mkdir -p /opt/place/lib/nexcage /run/user-1234 && chown 1234 /run/user-1234
install -m 755 ${program} /opt/place/ && install -m 755 ${join(program, "../lib/nexcage/nexcage-oci")} /opt/place/lib/nexcage/; ls -ld /run /opt /opt/place`);
    const asUser = "setpriv --reuid 1234 --regid 1234 --clear-groups env XDG_RUNTIME_DIR=/run/user-1234";
    const { stderr } = await shell(`${asUser} /opt/place/nexcage-agent state web`);
    t.is(stderr, "container does not exist: web");
    const looked = await shell(`${asUser} /opt/place/nexcage-agent --root /run/nexcage delete --force web`);
    t.is(looked.exitCode, 1, "what one may not see is not taken for missing");
    t.regex(looked.stderr, /Permission denied$/);
    t.is((await oci("state", "web")).exitCode, 0);
  },
);
