import test from "ava";
import { newOperation, onAgentHost, specsOf } from "./agent-host.ts";

const hostTest = onAgentHost(test);
const makeSpec = specsOf("crun");

const config = (args: string[]) =>
  JSON.stringify({
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args, env: ["PATH=/bin", "COLOUR=blue"], cwd: "/tmp" },
    root: { path: "/var/lib/nexcage/images/image/rootfs" },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs" },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["newinstance", "ptmxmode=0666"],
      },
    ],
    linux: { namespaces: [{ type: "pid" }, { type: "mount" }, { type: "ipc" }, { type: "uts" }] },
  });

const loop = ["/bin/sh", "-c", "trap 'exit 0' TERM; echo hello; echo oops >&2; while :; do sleep 0.05; done"];

/** Makes a bundle below /bundles, on the image that the host has. */
function bundleScript(name: string, text: string): string {
  const root = "$(echo /var/lib/nexcage/images/sha256-*/rootfs)";
  return `mkdir -p /run/bundles/${name} && sed "s#/var/lib/nexcage/images/image/rootfs#${root}#" >/run/bundles/${name}/config.json <<'EOF'
${text}
EOF`;
}

hostTest(
  "create, start, state, ps, exec, logs, kill, stop and delete work by hand",
  async (t, { command, shell }) => {
    await shell(bundleScript("web", config(loop)));
    t.deepEqual(await command("create", "--bundle", "/run/bundles/web", "web"), {
      exitCode: 0,
      stdout: "",
      stderr: "",
    });
    const created = JSON.parse((await command("state", "web")).stdout);
    t.like(created, { id: "web", status: "created", bundle: "/run/bundles/web" });
    t.is((await command("start", "web")).exitCode, 0);
    const running = JSON.parse((await command("state", "web")).stdout);
    t.like(running, { status: "running", pid: created.pid });
    t.is((await command("list", "-q")).stdout, "web");
    t.is(JSON.parse((await command("list", "-f", "json")).stdout)[0].pid, running.pid);
    t.regex((await command("list")).stdout, /^ID +PID +STATUS.*\nweb +\d+ +running +\/run\/bundles\/web/);
    t.true(JSON.parse((await command("ps", "web", "-f", "json")).stdout).includes(running.pid));
    t.regex((await command("ps", "web")).stdout, /PID +PPID +UID +COMMAND\n\d+/);

    const exec = await command(
      "exec",
      "-e",
      "SIZE=big",
      "-w",
      "/",
      "web",
      "--",
      "sh",
      "-c",
      "echo $COLOUR $SIZE; pwd; echo bad >&2; exit 7",
    );
    t.deepEqual(exec, { exitCode: 7, stdout: "blue big\n/", stderr: "bad" });
    t.is((await command("exec", "web", "--", "sh", "-c", "kill -TERM $$")).exitCode, 143);
    t.is((await command("exec", "web", "--", "/no/such/program")).exitCode, 127);
    t.regex(
      (await command("exec", "-t", "web", "--", "sh", "-c", "test -t 0 && echo terminal")).stdout,
      /terminal/,
    );
    t.is((await command("exec", "-u", "1000:1000", "web", "--", "id", "-u")).stdout, "1000");

    t.deepEqual(await command("logs", "web"), { exitCode: 0, stdout: "hello", stderr: "oops" });
    const refused = await command("delete", "web");
    t.is(refused.exitCode, 1);
    t.regex(
      refused.stderr,
      /^nexcage-agent: container web is running \[CONTAINER_RUNNING\]\nhint: .*--force web/,
    );
    t.is((await command("kill", "web", "TERM")).exitCode, 0);
    t.is((await command("stop", "web")).exitCode, 0);
    t.like(JSON.parse((await command("state", "web")).stdout), { status: "stopped", pid: 0 });
    t.is((await command("kill", "web", "TERM")).exitCode, 0, "to one that has stopped it is no error");
    t.is((await command("start", "web")).exitCode, 0, "and it starts again");
    t.deepEqual(await command("delete", "--force", "web"), { exitCode: 0, stdout: "", stderr: "" });
    t.is((await command("delete", "--force", "web")).exitCode, 0, "as OCI runtimes have it");
    t.is((await command("list", "-q")).stdout, "");
  },
);

hostTest("what is no id is refused in one line, whatever it is", async (t, { command }) => {
  for (const id of ["../x", "", ".hidden", "a/b", "a\nb", "x".repeat(300), "a b", "ü"]) {
    const { exitCode, stdout, stderr } = await command("state", id);
    t.is(exitCode, 2, JSON.stringify(id));
    t.is(stdout, "");
    t.regex(stderr, /^nexcage-agent: ".*" is not a container id \[INVALID_ID\]\nhint: .*$/);
  }
});

hostTest("a command line with a mistake is told so in one line, with exit 2", async (t, { command }) => {
  for (const args of [
    [],
    ["strat", "web"],
    ["start"],
    ["start", "web", "--fast"],
    ["create", "--bundle"],
    ["exec", "web"],
    ["exec", "-e", "NOVALUE", "web", "--", "ls"],
    ["stop", "web", "--grace-period", "ten"],
    ["list", "-f", "xml"],
    ["--log-level", "loud", "list"],
    ["--log-format", "xml", "list"],
    ["serve", "--stdio", "--log-level", "loud"],
    ["serve", "--stdio", "--log-format", "xml"],
    ["--lock-timeout", "5", "list"],
    ["serve"],
    ["kill", "web", "SIGFOO"],
  ]) {
    const { exitCode, stdout, stderr } = await command(...args);
    t.is(exitCode, 2, args.join(" "));
    t.is(stdout, "", args.join(" "));
    t.regex(stderr, /^nexcage-agent: .+ \[USAGE\](\nhint: .+)?$/, args.join(" "));
  }
});

hostTest(
  "a bundle that is none is refused with the place in its file, and leaves nothing",
  async (t, { command, shell, leftovers }) => {
    await command("list");
    const before = await leftovers();
    await shell("mkdir -p /run/bundles/empty");
    const missing = await command("create", "-b", "/run/bundles/empty", "web");
    t.is(missing.exitCode, 1);
    t.regex(
      missing.stderr,
      /^nexcage-agent: \/run\/bundles\/empty\/config.json does not exist \[BUNDLE_INVALID\]/,
    );
    await shell(bundleScript("torn", '{\n  "ociVersion": "1.0.2",\n  "process": }'));
    const torn = await command("create", "-b", "/run/bundles/torn", "web");
    t.regex(torn.stderr, /^nexcage-agent: \/run\/bundles\/torn\/config.json:3:\d+: not JSON/);
    await shell(
      bundleScript(
        "wrong",
        '{"ociVersion": "1.0.2", "process": {"args": [], "cwd": "/"}, "root": {"path": "/"}}',
      ),
    );
    const wrong = await command("create", "-b", "/run/bundles/wrong", "web");
    t.regex(wrong.stderr, /process\.args/);
    for (const { stderr } of [missing, torn, wrong]) t.notRegex(stderr, /\n\s+at /, "no stack trace");
    t.is(await leftovers(), before);
  },
);

hostTest("with -o json an error is JSON", async (t, { command }) => {
  const { exitCode, stderr } = await command("state", "web", "-o", "json");
  t.is(exitCode, 1);
  t.like(JSON.parse(stderr), { code: "CONTAINER_NOT_FOUND", message: "container web does not exist" });
});

hostTest(
  "the log is text by hand, and JSON where it is asked for or errors are JSON too",
  async (t, { command, shell }) => {
    await shell("echo 'log_file: /var/log/old.log' >/run/old.yaml");
    const logOf = async (...options: string[]) => {
      const { exitCode, stderr } = await command(...options, "--config", "/run/old.yaml", "list");
      t.is(exitCode, 0, stderr);
      return stderr;
    };
    const line =
      /^\d{4}-\d\d-\d\dT[\d:.]+Z WARN {2}these fields of 0\.7 change nothing here file=\/run\/old\.yaml fields=\["log_file"\]$/;
    t.regex(await logOf(), line);
    t.regex(await logOf("-o", "json", "--log-format", "text"), line);
    const told = { level: 40, msg: "these fields of 0.7 change nothing here", fields: ["log_file"] };
    for (const options of [["--log-format", "json"], ["--log-format=json"], ["-o", "json"]])
      t.like(JSON.parse(await logOf(...options)), told, options.join(" "));
    t.is(await logOf("--log-level", "error"), "");
  },
);

hostTest("features and doctor say what is here", async (t, { command }) => {
  const features = JSON.parse((await command("features")).stdout);
  t.like(features, { hostname: "agent", cgroups: "v1", ociVersion: "1.3.0" });
  t.like(features.backends[0], { name: "crun", available: true, version: "1.21" });
  const doctor = await command("doctor");
  t.is(doctor.exitCode, 0, doctor.stdout);
  t.regex(doctor.stdout, /^ok +control groups: cgroup v1\nok +backend crun: 1\.21/m);
  t.regex((await command("--version")).stdout, /^nexcage-agent \d+\.\d+\.\d+$/);
  t.regex((await command("--help")).stdout, /nexcage-agent create \[id\]/);
});

hostTest(
  "not started by its launcher, the agent says why crun is not available, and still lists",
  async (t, agent) => {
    await agent.run({ do: "create", spec: makeSpec("web"), start: true, operationId: newOperation() });
    const unsealed = agent.unsealedCommand;
    const features = JSON.parse((await unsealed("features")).stdout);
    t.false(features.backends[0].available);
    t.regex(features.backends[0].reason, /launcher/);
    t.is((await unsealed("list", "-q")).stdout, "web");
    const doctor = await unsealed("doctor");
    t.is(doctor.exitCode, 1);
    t.regex(doctor.stdout, /FAILED +backend crun: .*launcher.*\n +hint: /);
    const stop = await unsealed("stop", "web");
    t.is(stop.exitCode, 1);
    t.regex(stop.stderr, /\[BACKEND_UNAVAILABLE\]/);
  },
);

hostTest("logs -f goes on until the container has stopped", async (t, agent) => {
  const script = "for i in 1 2 3; do echo line $i; sleep 0.2; done";
  await agent.run({
    do: "create",
    spec: makeSpec("web", { command: ["/bin/sh", "-c", script] }),
    start: true,
    operationId: newOperation(),
  });
  t.deepEqual(await agent.command("logs", "-f", "web"), {
    exitCode: 0,
    stdout: "line 1\nline 2\nline 3",
    stderr: "",
  });
  t.is((await agent.command("logs", "--tail", "1", "web")).stdout, "line 3");
  const wrong = await agent.command("logs", "--tail", "abc", "web");
  t.is(wrong.exitCode, 2);
  t.regex(wrong.stderr, /--tail takes a whole number/);
});

hostTest("--root makes a second agent that sees nothing of the first", async (t, { command, shell }) => {
  await shell(bundleScript("web", config(loop)));
  await command("create", "-b", "/run/bundles/web", "web");
  t.is((await command("--root", "/run/other", "create", "-b", "/run/bundles/web", "web")).exitCode, 0);
  t.is((await command("--root", "/run/other", "list", "-q")).stdout, "web");
  t.is((await command("--root", "/run/other", "delete", "web")).exitCode, 0);
  t.is((await command("list", "-q")).stdout, "web");
  await shell("rm -r /run/other");
});
