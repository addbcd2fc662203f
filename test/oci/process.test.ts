import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { obedient, onOciHost, sleeping } from "./oci-host.ts";

const ociTest = onOciHost(test);

ociTest(
  "run waits, passes stdin, stdout and stderr, gives the exit code, and leaves nothing",
  async (t, { shell, bundle, leftovers }) => {
    const before = await leftovers();
    const folder = bundle("web", ["/bin/sh", "-c", "cat; echo bad >&2; exit 3"]);
    t.deepEqual(await shell(`$A run --bundle ${folder} web`, { input: "hello" }), {
      exitCode: 3,
      stdout: "hello",
      stderr: "bad",
    });
    const killed = await shell(
      `rm -f $B/out; $A run -b ${bundle("web", obedient)} web >$B/out 2>&1 & until grep -q ready $B/out; do sleep 0.02; done; $A kill web KILL; wait $!`,
    );
    t.is(killed.exitCode, 137);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "what run is sent goes to the container: it ends as it likes",
  async (t, { shell, bundle, leftovers }) => {
    const before = await leftovers();
    const folder = bundle("web", obedient);
    const ended = await shell(
      `rm -f $B/out; $A run -b ${folder} web >$B/out & pid=$!; until grep -q ready $B/out; do sleep 0.02; done; kill -TERM $pid; wait $pid`,
    );
    t.is(ended.exitCode, 7);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "a run that is killed leaves a container that goes on, and delete --force ends it",
  async (t, { oci, shell, bundle, status, leftovers }) => {
    const before = await leftovers();
    await shell(
      `rm -f $B/out; $A run -b ${bundle("web", obedient)} web >$B/out 2>&1 & pid=$!; until grep -q ready $B/out; do sleep 0.02; done; kill -KILL $pid`,
    );
    t.is(await status("web"), "running");
    t.is((await oci("delete", "--force", "web")).exitCode, 0);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "run --keep keeps what has ended; run -d returns once it runs",
  async (t, { oci, shell, detached, bundle, status }) => {
    t.is((await shell(`$A run --keep -b ${bundle("web", ["/bin/true"])} web`)).exitCode, 0);
    t.is(await status("web"), "stopped");
    t.is((await oci("delete", "web")).exitCode, 0);
    const made = await detached(
      "run",
      "--detach",
      "--pid-file",
      "/run/pid",
      "--bundle",
      bundle("web", sleeping),
      "web",
    );
    t.deepEqual(made, { exitCode: 0, stdout: "", stderr: "" });
    t.is(await status("web"), "running");
    t.is((await shell("tr '\\0' ' ' </proc/$(cat /run/pid)/cmdline")).stdout, "/bin/sleep 1000 ");
  },
);

ociTest(
  "a terminal of the caller's is the container's: raw, in its size, and as it was afterwards",
  async (t, { shell, bundle }) => {
    const folder = bundle(
      "web",
      ["/bin/sh", "-c", "stty size; stty -a | grep -c ' echo '; read line; echo got $line; exit 4"],
      (config) => {
        config.process.terminal = true;
      },
    );
    writeFileSync(join(folder, "caller.py"), ptyCaller);
    const { stdout, exitCode } = await shell(`cd ${folder} && python3 caller.py $A run web`);
    t.is(exitCode, 4);
    t.regex(stdout, /33 77\r\n1\r\n(typed\r\n)?got typed\r\n/);
    t.regex(stdout, /terminal as before: True/);
  },
);

ociTest("exec -t has a terminal, too, and follows its size", async (t, { shell, bundle, start }) => {
  await start("web", sleeping);
  const folder = bundle("caller", []);
  writeFileSync(join(folder, "caller.py"), ptyCaller);
  const { stdout, exitCode } = await shell(
    `cd ${folder} && python3 caller.py $A exec -t web sh -c 'tty; stty size; read line; echo got $line; stty size; exit 5'`,
  );
  t.is(exitCode, 5);
  t.regex(stdout, /\/dev\/pts\/0\r\n33 77\r\n(typed\r\n)?got typed\r\n44 88\r\n/);
});

ociTest(
  "a console socket gets the terminal's master before create and exec return",
  async (t, { shell, bundle }) => {
    const folder = bundle("web", ["/bin/sh", "-c", "read line; echo got $line"], (config) => {
      config.process.terminal = true;
    });
    writeFileSync(join(folder, "console.py"), consoleReader);
    const created = await shell(
      `cd ${folder} && python3 console.py create web -- $A create --bundle . --console-socket console.sock web </dev/null`,
    );
    t.is(created.exitCode, 0, created.stderr);
    t.regex(created.stdout, /got typed/);
    const second = bundle("second", sleeping);
    writeFileSync(join(second, "console.py"), consoleReader);
    const executed = await shell(
      `cd ${second} && $A run -d web2 </dev/null >/dev/null 2>&1 && python3 console.py exec web2 -- $A exec -d -t --console-socket console.sock web2 sh -c 'read line; echo got $line'`,
    );
    t.is(executed.exitCode, 0, executed.stderr);
    t.regex(executed.stdout, /got typed/);
  },
);

ociTest(
  "a terminal without a socket is refused where nobody would have it",
  async (t, { detached, bundle, start, leftovers }) => {
    await start("web", sleeping);
    const before = await leftovers();
    const folder = bundle("tty", sleeping, (config) => {
      config.process.terminal = true;
    });
    t.deepEqual(await detached("create", "-b", folder, "tty"), {
      exitCode: 1,
      stdout: "use --console-socket with create when a terminal is used",
      stderr: "",
    });
    t.regex((await detached("run", "-d", "-b", folder, "tty")).stdout, /^use --console-socket with --detach/);
    t.is((await detached("exec", "-d", "-t", "web", "true")).exitCode, 255);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "descriptors that are named reach the program, and no others",
  async (t, { shell, bundle, start }) => {
    const show = [
      "/bin/sh",
      "-c",
      "for fd in 3 4 5 6; do test -e /proc/self/fd/$fd && echo $fd $(cat <&$fd); done; true",
    ];
    const folder = bundle("web", show);
    const open = "echo three >$B/3; echo four >$B/4; exec 3<$B/3 4<$B/4 5<$B/3;";
    t.is((await shell(`${open} $A run --preserve-fds 2 -b ${folder} web`)).stdout, "3 three\n4 four");
    t.is((await shell(`${open} $A --log $B/log run -b ${folder} web`)).stdout, "");
    await start("web", sleeping);
    t.is((await shell(`${open} $A exec --preserve-fds=1 web ${show[0]} -c '${show[2]}'`)).stdout, "3 three");
    const listening = bundle("listen", [
      "/bin/sh",
      "-c",
      "echo $LISTEN_FDS $LISTEN_PID; cat <&3; test ! -e /proc/self/fd/5 && echo no more",
    ]);
    t.is((await shell(`${open} LISTEN_FDS=2 $A run -b ${listening} listen`)).stdout, "2 1\nthree\nno more");
  },
);

ociTest(
  "who is notified hears that the container is ready, and its pid, and run -d waits for it",
  async (t, { shell, bundle, status }) => {
    const folder = bundle("web", ["/bin/sleep", "1000"]);
    writeFileSync(join(folder, "notified.py"), notified);
    const { stdout, stderr } = await shell(`cd ${folder} && python3 notified.py $A`);
    t.is(stderr, "");
    t.regex(stdout, /^waits: True\nMAINPID=(\d+)\nREADY=1\nits pid: \1\nreturned: 0$/);
    t.is(await status("web"), "running");
  },
);

ociTest(
  "exec has the container's environment, folder and user, and what the options say instead",
  async (t, { oci, start }) => {
    await start("web", sleeping, (config) => {
      config.process.env = ["PATH=/bin", "COLOUR=blue"];
      config.process.cwd = "/tmp";
      config.process.user = { uid: 0, gid: 0, additionalGids: [5] };
    });
    const exec = async (...words: string[]) => (await oci("exec", ...words)).stdout;
    t.is(await exec("web", "sh", "-c", "echo $COLOUR; pwd; id -G"), "blue\n/tmp\n0 5");
    t.is(
      await exec("-e", "COLOUR=red", "--cwd", "/etc", "web", "sh", "-c", "echo $COLOUR; pwd"),
      "red\n/etc",
    );
    t.is(await exec("--user", "1000:5", "web", "id", "-u"), "1000");
    t.is(await exec("--user", "1000:5", "web", "id", "-G"), "5");
    t.is(
      await exec("-u", "web", "web", "sh", "-c", "id -u; id -g"),
      "1000\n1000",
      "by the container's own files",
    );
    t.is(await exec("-u", "7", "-g", "8", "-g", "9", "web", "id", "-G"), "0 8 9");
    const nobody = await oci("exec", "-u", "nobody-there", "web", "true");
    t.deepEqual(nobody, {
      exitCode: 255,
      stdout: "",
      stderr: '--user: the container has no user "nobody-there"',
    });
    t.is(await exec("--no-new-privs", "web", "grep", "NoNewPrivs", "/proc/self/status"), "NoNewPrivs:\t1");
  },
);

ociTest(
  "exec --cap adds to each set, and a word that is no capability is refused",
  async (t, { oci, start }) => {
    await start("web", sleeping, (config) => {
      config.process.capabilities = Object.fromEntries(
        ["bounding", "effective", "inheritable", "permitted", "ambient"].map((set) => [set, ["CAP_KILL"]]),
      );
    });
    const sets = async (...words: string[]) =>
      [
        ...(await oci("exec", ...words, "web", "grep", "Cap", "/proc/self/status")).stdout.matchAll(
          /Cap(\w+):\s*(\w+)/g,
        ),
      ].map(([, set, bits]) => `${set} ${Number.parseInt(bits ?? "", 16)}`);
    t.deepEqual(await sets(), ["Inh 32", "Prm 32", "Eff 32", "Bnd 32", "Amb 32"]);
    t.deepEqual(
      await sets("--cap", "CAP_CHOWN", "-c", "net_raw"),
      ["Inh", "Prm", "Eff", "Bnd", "Amb"].map((set) => `${set} ${32 + 1 + 8192}`),
    );
    t.regex(
      (await oci("exec", "--cap", "CAP_NOPE", "web", "true")).stderr,
      /^--cap: "CAP_NOPE" is not a capability$/,
    );
  },
);

ociTest(
  "exec --process has all of it from a file, and its end is the command's",
  async (t, { oci, shell, start, bundle }) => {
    await start("web", sleeping);
    const file = join(bundle("process", []), "process.json");
    const process = {
      cwd: "/tmp",
      env: ["PATH=/bin", "A=file"],
      args: ["sh", "-c", "echo $A; pwd; exit 9"],
      user: { uid: 0, gid: 0 },
    };
    writeFileSync(file, JSON.stringify(process));
    t.deepEqual(await shell(`$A exec --process ${file} web`), {
      exitCode: 9,
      stdout: "file\n/tmp",
      stderr: "",
    });
    writeFileSync(file, "{");
    t.regex((await oci("exec", "-p", file, "web")).stderr, /^--process .*process\.json: /);
    writeFileSync(file, JSON.stringify({ ...process, args: [] }));
    t.regex((await oci("exec", "-p", file, "web")).stderr, /args: is missing or empty$/);
  },
);

ociTest(
  "exec -d returns once the program runs: nobody's child of ours, its pid in the file",
  async (t, { shell, detached, start }) => {
    await start("web", sleeping);
    t.deepEqual(await detached("exec", "-d", "--pid-file", "/run/exec.pid", "web", "sleep", "500"), {
      exitCode: 0,
      stdout: "",
      stderr: "",
    });
    t.is(
      (
        await shell(
          "tr '\\0' ' ' </proc/$(cat /run/exec.pid)/cmdline; grep PPid /proc/$(cat /run/exec.pid)/status",
        )
      ).stdout,
      "sleep 500 PPid:\t1",
    );
    const missing = await detached("exec", "--detach", "--pid-file", "/run/none.pid", "web", "nope");
    t.is(missing.exitCode, 255);
    t.regex(missing.stdout, /executable file `nope` not found in \$PATH: No such file or directory/);
    t.is((await shell("test ! -e /run/none.pid")).exitCode, 0);
  },
);

ociTest(
  "stdio of another user than root stays the host's: /dev/null keeps its owner",
  async (t, { shell, detached, bundle }) => {
    const before = (await shell("stat -c '%u %g %a' /dev/null")).stdout;
    const folder = bundle("web", ["/bin/true"], (config) => {
      config.process.user = { uid: 1000, gid: 1000 };
    });
    t.is((await shell(`$A run -b ${folder} web </dev/null >/dev/null 2>&1`)).exitCode, 0);
    await detached("run", "-d", "-b", folder, "web");
    t.is((await shell("stat -c '%u %g %a' /dev/null")).stdout, before);
  },
);

/** Runs its arguments on a terminal of 33 × 77, types a line, makes the terminal 44 × 88 before, gives the exit code. */
const ptyCaller = `
import fcntl, os, pty, select, struct, sys, termios, time
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(0)
    child = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
    _, status = os.waitpid(child, 0)
    print("terminal as before:", termios.tcgetattr(0) == before)
    sys.stdout.flush()
    os._exit(os.waitstatus_to_exitcode(status))
seen, typed = b"", False
while True:
    if not select.select([master], [], [], 20)[0]:
        break
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
    if b"33 77" in seen and not typed:
        typed = True
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 88, 0, 0))
        time.sleep(0.2)
        os.write(master, b"typed\\r")
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

/** WHAT ID -- COMMAND: the terminal of what the command makes comes over console.sock; types a line there. */
const consoleReader = `
import array, os, select, socket, subprocess, sys
what, id = sys.argv[1:3]
command = sys.argv[4:]
server = socket.socket(socket.AF_UNIX)
server.bind("console.sock")
server.listen(1)
done = subprocess.run(command, timeout=20)
if done.returncode != 0:
    sys.exit(done.returncode)
connection, _ = server.accept()
_, control, _, _ = connection.recvmsg(256, socket.CMSG_SPACE(4))
master = array.array("i", control[0][2])[0]
if what == "create":
    subprocess.run([command[0], "start", id], check=True)
os.write(master, b"typed\\n")
seen = b""
while select.select([master], [], [], 10)[0]:
    try:
        data = os.read(master, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
print(seen.decode())
`;

/** Starts a container with a socket to be notified on, and says in its place that it is ready. */
const notified = `
import json, os, socket, subprocess, sys, time
host = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
host.bind("/run/notified")
null = subprocess.DEVNULL
run = subprocess.Popen([sys.argv[1], "run", "-d", "web"], stdin=null, stdout=null, stderr=null, env={**os.environ, "NOTIFY_SOCKET": "/run/notified"})
state = {}
while state.get("status") != "running":
    time.sleep(0.05)
    state = json.loads(subprocess.run([sys.argv[1], "state", "web"], capture_output=True, text=True).stdout or "{}")
time.sleep(0.2)
print("waits:", run.poll() is None)
inside = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inside.sendto(b"READY=1", f"/proc/{state['pid']}/root/run/notified/notify")
print(host.recv(200).decode().strip())
print("its pid:", state["pid"])
print("returned:", run.wait(10))
`;
