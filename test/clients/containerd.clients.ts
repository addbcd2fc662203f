import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { setUpContainerd } from "./containerd.ts";

// In the background, what a task writes reaches ctr sometimes, and sometimes not any more: those write nothing.
const both = onBothRuntimes(test, setUpContainerd);

both("ctr run gives the program's output and exit code", async ({ run }) => {
  await run(["--rm"], "web", ["echo", "hello"]);
  await run(["--rm"], "web", ["sh", "-c", "echo out; echo err >&2; exit 7"], { exits: 7 });
  await run(["--rm"], "web", ["sh", "-c", "kill -KILL $$; exit 8"], { exits: 8 });
});

both("ctr run takes environment, working directory and mounts", async ({ run }) => {
  await run(["--rm", "--env", "COLOR=dark blue", "--cwd", "/data"], "web", ["sh", "-c", "echo $COLOR; pwd"]);
  await run(["--rm", "--read-only"], "web", ["touch", "/file"], { exits: 1 });
  const mount = "type=tmpfs,src=tmpfs,dst=/data,options=size=1m";
  await run(["--rm", "--mount", mount], "web", ["sh", "-c", "df -k /data | tail -n 1"]);
});

both("limits are those of the container's cgroup", async ({ run }) => {
  const limits = ["--memory-limit", "67108864", "--cpus", "0.5"];
  const files = ["memory/memory.limit_in_bytes", "cpu/cpu.cfs_quota_us"].map(
    (file) => `/sys/fs/cgroup/${file}`,
  );
  await run(
    ["--rm", ...limits],
    "web",
    ["sh", "-c", `cat /proc/self/cgroup | grep -c web; cat ${files.join(" ")} 2>&1`],
    { exits: 1 },
  );
});

both("a program that is not there, or cannot be run, is an error of the start", async ({ run, ctr }) => {
  for (const program of ["not-there", "/not/there", "not-executable", "/etc"]) {
    await run(["--rm"], "web", [program], { exits: 1 });
    await ctr(["container", "ls", "--quiet"]);
  }
});

both("a task in the background is seen, signalled and removed", async ({ run, ctr, becomes, has }) => {
  await run(["--detach"], "web", ["sh", "-c", "touch /tmp/ready; exec listen >/dev/null"]);
  await has("web", "/tmp/ready");
  await ctr(["task", "ls"], { shows: ({ stdout }) => stdout.replace(/\d+ +/g, "PID ") });
  await ctr(["task", "kill", "--signal", "SIGUSR1", "web"]);
  await ctr(["task", "kill", "--signal", "SIGTERM", "web"]);
  await becomes("web", "STOPPED");
  await ctr(["task", "kill", "web"], { exits: 1 });
  await ctr(["task", "rm", "web"]);
  await ctr(["container", "rm", "web"]);
});

both("ctr task exec gives output and exit code", async ({ run, exec, ctr, has }) => {
  await run(["--detach"], "web", ["sh", "-c", "touch /tmp/ready; exec listen >/dev/null"]);
  await has("web", "/tmp/ready");
  await exec("web", ["sh", "-c", "echo out; echo err >&2; exit 9"], { exits: 9 });
  await exec("web", ["not-there"], { exits: 1 });
  await exec("web", ["not-executable"], { exits: 1 });
  await exec("nothing", ["true"], { exits: 1 });
  await ctr(["task", "ps", "web"], { shows: ({ stdout }) => `${stdout.split("\n").length > 1}` });
  await ctr(["task", "rm", "--force", "web"]);
  await ctr(["container", "rm", "web"]);
});

both("a paused task does nothing, and is resumed", async ({ run, exec, ctr, has, becomes }) => {
  await run(["--detach"], "web", ["sh", "-c", "touch /tmp/ready; exec listen >/dev/null"]);
  await has("web", "/tmp/ready");
  await ctr(["task", "pause", "web"]);
  await becomes("web", "PAUSED");
  await exec("web", ["true"], { exits: 1 });
  await ctr(["task", "resume", "web"]);
  await becomes("web", "RUNNING");
  await exec("web", ["true"]);
  await ctr(["task", "rm", "--force", "web"]);
  await ctr(["container", "rm", "web"]);
});

both("every process of a task is signalled where one says so", async ({ run, ctr, has, becomes }) => {
  await run(["--detach"], "web", [
    "sh",
    "-c",
    "sleep 1000 & sleep 1000 & touch /tmp/ready; exec stubborn >/dev/null",
  ]);
  await has("web", "/tmp/ready");
  await ctr(["task", "kill", "--all", "--signal", "SIGKILL", "web"]);
  await becomes("web", "STOPPED");
  await ctr(["task", "rm", "web"]);
  await ctr(["container", "rm", "web"]);
});

both("ctr run -t is a terminal", async ({ runTty }) => {
  await runTty("web", ["sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2"]);
  const script = "echo -n 'name? '; read name; echo hello $name; exit 4";
  await runTty("web", ["sh", "-c", script], [{ after: "name?", type: "you\r" }], { exits: 4 });
});

both("a checkpoint is refused, and the task goes on", async ({ run, ctr, exec, has }) => {
  await run(["--detach"], "web", ["sh", "-c", "touch /tmp/ready; exec listen >/dev/null"]);
  await has("web", "/tmp/ready");
  await ctr(["task", "checkpoint", "web"], { exits: 1 });
  await exec("web", ["true"]);
  await ctr(["task", "rm", "--force", "web"]);
  await ctr(["container", "rm", "web"]);
});

both(
  "with its shim killed, a task is gone and can be removed",
  async ({ run, ctr, shell, has, becomesNone }) => {
    await run(["--detach"], "web", ["sh", "-c", "touch /tmp/ready; exec listen >/dev/null"]);
    await has("web", "/tmp/ready");
    const pid = "$(ctr -n clients task ls | sed -n 's/^web *\\([0-9]*\\).*/\\1/p')";
    await shell(`kill -KILL $(sed -n 's/^PPid://p' /proc/${pid}/status)`);
    await becomesNone();
    await ctr(["container", "rm", "web"]);
  },
);

both("ten at once are ten containers", async ({ shell, runWords }) => {
  const numbers = Array.from({ length: 10 }, (_, index) => index);
  const words = (number: number) =>
    runWords(["--rm"], `web-${number}`, ["sh", "-c", "exit $0", String(number)]);
  const one = (number: number) => `{ ${quote(words(number))}; echo $? >"$0/${number}"; } &`;
  await shell(`${numbers.map(one).join(" ")} wait; cat "$0"/*`);
});

function quote(words: string[]): string {
  return words.map((word) => `'${word}'`).join(" ");
}
