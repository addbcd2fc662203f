import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { type Podman, setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);
const cgroup = "/sys/fs/cgroup";

async function start({ podman, logged }: Podman, ...options: string[]): Promise<void> {
  await podman(["run", "--detach", "--name", "web", ...options, image, "listen"]);
  await logged("web", "ready");
}

async function end({ podman }: Podman): Promise<void> {
  await podman(["rm", "--force", "--time", "0", "web"]);
}

both("limits are those of the container's cgroup", async ({ podman }) => {
  const files = [
    "memory/memory.limit_in_bytes",
    "memory/memory.soft_limit_in_bytes",
    "pids/pids.max",
    "cpu/cpu.shares",
    "cpu/cpu.cfs_quota_us",
    "cpu/cpu.cfs_period_us",
    "cpuset/cpuset.cpus",
  ];
  const options = [
    "--memory",
    "64m",
    "--memory-reservation",
    "32m",
    "--pids-limit",
    "50",
    "--cpu-shares",
    "300",
    "--cpus",
    "0.5",
    "--cpuset-cpus",
    "0",
  ];
  await podman([
    "run",
    "--rm",
    ...options,
    image,
    "head",
    "-n",
    "1",
    ...files.map((file) => `${cgroup}/${file}`),
  ]);
});

both("a program that takes more memory than it may is killed", async ({ podman }) => {
  const hungry = ["sh", "-c", "tail -c 200000000 /dev/zero | tail"];
  await podman(["run", "--name", "web", "--memory", "16m", image, "sh", "-c", "exec tail /dev/zero"], {
    exits: 137,
  });
  await podman(["inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", "web"]);
  await podman(["rm", "web"]);
  await podman(["run", "--rm", "--memory", "16m", image, ...hungry], { exits: 0, shows: () => "" });
});

both("a container forks no more than it may", async ({ podman }) => {
  const script = "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 100 & done; echo unreachable";
  await podman(["run", "--rm", "--pids-limit", "8", image, "sh", "-c", script], { exits: 2 });
});

both("podman update changes a running container", async (client) => {
  await start(client, "--memory", "64m");
  await client.podman(["update", "--memory", "48m", "web"]);
  await client.podman(["exec", "web", "cat", `${cgroup}/memory/memory.limit_in_bytes`]);
  await client.podman(["update", "--cpu-shares", "200", "--cpus", "0.25", "web"]);
  await client.podman(["exec", "web", "cat", `${cgroup}/cpu/cpu.shares`, `${cgroup}/cpu/cpu.cfs_quota_us`]);
  await client.podman(["update", "--cpuset-cpus", "0", "web"]);
  await client.podman(["exec", "web", "cat", `${cgroup}/cpuset/cpuset.cpus`]);
  await client.podman(["update", "--cpuset-cpus", "999", "web"], { exits: 125 });
  await end(client);
});

both("podman top shows the processes of a container", async (client) => {
  await start(client);
  await client.podman(["exec", "--detach", "web", "sleep", "1000"]);
  await client.podman(["top", "web", "user", "pid", "comm"], {
    shows: ({ stdout }) =>
      stdout
        .split("\n")
        .filter((line) => !/ sleep$/.test(line) || line.includes("1000"))
        .join("\n"),
  });
  await end(client);
});

both("podman stats counts processes and knows the memory limit", async (client) => {
  await start(client, "--memory", "64m");
  const format = "{{.Name}} {{.MemUsage}}";
  const shows = ({ stdout }: { stdout: string }) => stdout.replace(/[\d.]+[kM]?B \//, "SOME /");
  await client.podman(["stats", "--no-stream", "--format", format, "web"], { shows });
  await end(client);
});

both("devices that are not the container's cannot be made", async ({ podman }) => {
  await podman(
    ["run", "--rm", "--cap-add", "mknod", image, "sh", "-c", "mknod /tmp/kmsg c 1 11 && cat /tmp/kmsg"],
    { exits: 1 },
  );
  await podman([
    "run",
    "--rm",
    "--cap-add",
    "mknod",
    "--device-cgroup-rule",
    "c 1:7 rwm",
    image,
    "sh",
    "-c",
    "mknod /tmp/full c 1 7 && head -c 3 /tmp/full | wc -c",
  ]);
});

both("a container can be given a cgroup below one that is named", async (client) => {
  await start(client, "--cgroup-parent", "/clients/nested");
  await client.shell("find /sys/fs/cgroup/*/clients -type d | sed 's/.*clients/clients/' | sort -u");
  await end(client);
  // Conmon is in one below that, and ends a little later.
  const remove = "find /sys/fs/cgroup/*/clients -depth -type d -exec rmdir {} + 2>/dev/null";
  await client.shell(`while [ -e /sys/fs/cgroup/memory/clients ]; do ${remove} || continue; done`);
});

both("without cgroups of its own a container is in the client's", async ({ podman }) => {
  await podman([
    "run",
    "--rm",
    "--cgroups",
    "disabled",
    image,
    "sh",
    "-c",
    "cut -d: -f2- /proc/self/cgroup | sort",
  ]);
  await podman(["run", "--rm", "--cgroups", "split", image, "true"], { exits: 126 });
  await podman([
    "run",
    "--rm",
    "--cgroupns",
    "host",
    image,
    "sh",
    "-c",
    "cut -d: -f2- /proc/self/cgroup | sort",
  ]);
  await podman([
    "run",
    "--rm",
    "--cgroupns",
    "private",
    image,
    "sh",
    "-c",
    "cut -d: -f2- /proc/self/cgroup | sort",
  ]);
});
