import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);
const once = ["run", "--rm"];

both("podman run gives the program's output and exit code", async ({ podman }) => {
  await podman([...once, image, "echo", "hello"]);
  await podman([...once, image, "sh", "-c", "echo out; echo err >&2; exit 7"], { exits: 7 });
});

both("a program that a signal ends gives 128 and the signal", async ({ podman }) => {
  await podman([...once, "--init", image, "sh", "-c", "kill -KILL $$"], { exits: 137 });
  await podman([...once, "--init", image, "sh", "-c", "kill -TERM $$"], { exits: 143 });
});

both("what is written to podman run -i is the program's stdin, to its end", async ({ podman }) => {
  await podman([...once, "--interactive", image, "sh", "-c", "cat; echo end"], { input: "one\ntwo\n" });
  await podman([...once, image, "wc", "-c"], { input: "nobody reads this" });
});

both("much output comes whole", async ({ podman }) => {
  const shows = ({ stdout }: { stdout: string }) =>
    `${stdout.split("\n").length} lines, ${stdout.length} letters`;
  await podman([...once, image, "seq", "200000"], { shows });
});

both(
  "a container in the background goes on, and its logs can be read",
  async ({ podman, logged, becomes }) => {
    await podman(["run", "--detach", "--name", "web", image, "listen"]);
    await logged("web", "ready");
    await podman(["ps", "--format", "{{.Names}} {{.State}} {{.Command}}"]);
    await podman(["logs", "web"]);
    await podman(["stop", "web"]);
    await becomes("web", "exited");
    await podman(["inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Pid}}", "web"]);
    await podman(["logs", "web"]);
    await podman(["rm", "web"]);
  },
);

both("environment, hostname and working directory are as podman says", async ({ podman }) => {
  await podman([
    ...once,
    "--env",
    "COLOR=dark blue",
    "--env",
    "EMPTY=",
    "--hostname",
    "box",
    image,
    "sh",
    "-c",
    "env | sort",
  ]);
  await podman([...once, "--workdir", "/data", image, "pwd"]);
  await podman([...once, "--workdir", "/not/there", image, "pwd"], { exits: 126 });
  await podman([...once, "--hostname", "box", image, "hostname"]);
});

both("user and groups are as podman says", async ({ podman }) => {
  for (const user of ["guest", "1000:2000", "0", "12345"])
    await podman([...once, "--user", user, image, "sh", "-c", "id; echo $HOME"]);
  await podman([...once, "--user", "guest", "--group-add", "3000", image, "id", "-G"]);
  await podman([...once, "--user", "nobody-here", image, "id"], { exits: 126 });
});

both(
  "a working directory that the user may not enter is entered all the same",
  async ({ podman, folder }, record) => {
    await record.run(["mkdir", "-m", "700", `${folder}/closed`]);
    const closed = ["--volume", `${folder}/closed:/data`, "--workdir", "/data"];
    await podman([...once, "--user", "guest", ...closed, image, "pwd"]);
  },
);

both("capabilities, privileges and seccomp are as podman says", async ({ podman }) => {
  const status = ["grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status"];
  await podman([...once, image, ...status]);
  await podman([...once, "--cap-drop", "all", "--cap-add", "chown", image, ...status]);
  await podman([...once, "--user", "guest", image, ...status]);
  await podman([...once, "--security-opt", "no-new-privileges", image, ...status]);
  await podman([...once, "--security-opt", "seccomp=unconfined", image, ...status]);
  await podman([...once, "--privileged", image, ...status]);
  await podman([...once, image, "mount", "-t", "tmpfs", "none", "/tmp"], { exits: 1 });
});

both("folders of the host are there, written to or read only", async ({ podman, folder }, record) => {
  await podman([
    ...once,
    "--volume",
    `${folder}:/data`,
    image,
    "sh",
    "-c",
    "echo new >/data/file; ls -l /data/file | cut -c1-10",
  ]);
  await podman(
    [...once, "--volume", `${folder}:/data:ro`, image, "sh", "-c", "cat /data/file; echo more >>/data/file"],
    { exits: 1 },
  );
  await record.run(["cat", `${folder}/file`]);
  await podman([
    ...once,
    "--mount",
    `type=bind,src=${folder}/file,dst=/etc/one,ro`,
    image,
    "cat",
    "/etc/one",
  ]);
  await podman([...once, "--volume", "named:/data", image, "touch", "/data/kept"]);
  await podman([...once, "--volume", "named:/data", image, "ls", "/data"]);
  await podman(["volume", "rm", "named"]);
});

both("a mount that comes from nowhere is refused", async ({ podman }) => {
  await podman([...once, "--volume", "/not/there:/data", image, "true"], { exits: 125 });
  await podman([...once, "--mount", "type=bind,src=/not/there,dst=/data", image, "true"], { exits: 125 });
});

both("a read-only container writes to its tmpfs alone", async ({ podman }) => {
  const script = "echo a >/file; echo b >/scratch/file && cat /scratch/file; df -k /scratch | tail -n 1";
  await podman([...once, "--read-only", "--tmpfs", "/scratch:size=1m,mode=1777", image, "sh", "-c", script]);
  await podman([...once, "--read-only=false", image, "sh", "-c", "echo a >/file; cat /file"]);
});

both("a container sees its own mounts, devices and limits and no others", async ({ podman }) => {
  await podman([...once, image, "sh", "-c", "cut -d' ' -f2- /proc/mounts | cut -d' ' -f1,2 | sort"]);
  await podman([...once, image, "sh", "-c", "ls -l /dev | cut -c1-10,14-38,55-"]);
  await podman([...once, image, "sh", "-c", "ls /proc/self/fd; ulimit -n; ulimit -Hn; umask"]);
  await podman([
    ...once,
    "--ulimit",
    "nofile=100:200",
    "--ulimit",
    "nproc=2048:4096",
    image,
    "sh",
    "-c",
    "ulimit -n; ulimit -Hn",
  ]);
  await podman([...once, "--device", "/dev/full", image, "sh", "-c", "echo x >/dev/full"], { exits: 1 });
  await podman([...once, "--sysctl", "kernel.msgmax=4096", image, "cat", "/proc/sys/kernel/msgmax"]);
  await podman([...once, "--shm-size", "1m", image, "sh", "-c", "df -k /dev/shm | tail -n 1"]);
});

both("namespaces are the container's own, or the host's where podman says so", async ({ podman }) => {
  const links =
    "for n in ipc mnt net pid uts; do [ $(readlink /proc/self/ns/$n) != $(readlink /proc/1/ns/$n) ] || echo same $n; done";
  await podman([...once, image, "sh", "-c", "echo $$; ls /sys/class/net"]);
  await podman([...once, "--network", "host", image, "ls", "/sys/class/net"]);
  await podman([...once, "--pid", "host", image, "sh", "-c", `cat /proc/1/comm; ${links}`]);
  await podman([...once, "--uts", "host", image, "hostname"]);
  await podman([...once, "--ipc", "host", image, "true"]);
});

both("podman run --init has an init that reaps", async ({ podman, logged }) => {
  await podman([...once, "--init", image, "sh", "-c", "cat /proc/1/comm; exit 5"], { exits: 5 });
  await podman(["run", "--detach", "--init", "--name", "web", image, "listen"]);
  await logged("web", "ready");
  await podman(["stop", "web"]);
  await podman(["inspect", "--format", "{{.State.ExitCode}}", "web"]);
  await podman(["rm", "web"]);
});

both("descriptors that are handed on are the program's", async ({ podman, folder }, record) => {
  const script =
    'exec 3<"$0/three"; shift 0; exec podman run --rm --preserve-fds 1 "$1" sh -c "cat <&3; ls /proc/self/fd"';
  await record.run(["sh", "-c", 'echo three >"$0/three"', folder]);
  await record.run(["sh", "-c", script, folder, image]);
  await podman([...once, "--preserve-fds", "2", image, "true"], { exits: 125 });
});
