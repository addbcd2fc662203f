import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);

both("health checks run inside, and their answer is kept", async ({ podman, logged }) => {
  // Without systemd there are no timers: each is asked for.
  const check = ["--health-cmd", "test -e /healthy", "--health-interval", "disable", "--health-retries", "1"];
  await podman(["run", "--detach", "--name", "web", ...check, image, "listen"]);
  await logged("web", "ready");
  await podman(["healthcheck", "run", "web"], { exits: 1 });
  await podman(["exec", "web", "touch", "/healthy"]);
  await podman(["healthcheck", "run", "web"]);
  await podman(["inspect", "--format", "{{.State.Health.Status}} {{.State.Health.FailingStreak}}", "web"]);
  await podman(["rm", "--force", "--time", "0", "web"]);
});

both("conmon tells who waits that the container runs", async ({ podman, notified, logged }) => {
  await notified(["run", "--detach", "--name", "web", "--sdnotify", "conmon", image, "listen"]);
  await logged("web", "ready");
  await podman(["exec", "web", "sh", "-c", "echo socket $NOTIFY_SOCKET"]);
  await podman(["rm", "--force", "--time", "0", "web"]);
});

both("a container tells by itself that it is ready", async ({ podman, notified }) => {
  const script = "notify READY=1; exec listen";
  await notified(["run", "--detach", "--name", "web", "--sdnotify", "container", image, "sh", "-c", script]);
  await podman(["rm", "--force", "--time", "0", "web"]);
});

both("files are copied into a container and out of it", async ({ podman, folder, logged }, record) => {
  await podman(["run", "--detach", "--name", "web", image, "listen"]);
  await logged("web", "ready");
  await record.run(["sh", "-c", 'echo copied >"$0/in"', folder]);
  await podman(["cp", `${folder}/in`, "web:/tmp/in"]);
  await podman(["exec", "web", "cat", "/tmp/in"]);
  await podman(["cp", "web:/tmp/in", `${folder}/out`]);
  await record.run(["cat", `${folder}/out`]);
  await podman(["diff", "web"], { shows: ({ stdout }) => stdout.split("\n").sort().join("\n") });
  await podman(["rm", "--force", "--time", "0", "web"]);
});
