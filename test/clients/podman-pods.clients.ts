import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);
const infra = ["--infra-command", "/bin/listen"];
const states = ["ps", "--all", "--sort", "names", "--format", "{{.IsInfra}} {{.State}}"];

both("containers of a pod share network and hostname, and stop together", async ({ podman, logged }) => {
  await podman(["pod", "create", "--name", "shop", "--hostname", "shop", ...infra]);
  await podman(["run", "--detach", "--pod", "shop", "--name", "web", image, "listen"]);
  await logged("web", "ready");
  await podman(["run", "--rm", "--pod", "shop", image, "sh", "-c", "hostname; ls /sys/class/net"]);
  await podman(["pod", "ps", "--format", "{{.Name}} {{.Status}} {{.NumberOfContainers}}"]);
  await podman(["pod", "stop", "shop"]);
  await podman([...states]);
  await podman(["pod", "start", "shop"]);
  await podman([...states]);
  await podman(["pod", "rm", "--force", "--time", "0", "shop"]);
});

both("a pod is paused and resumed as a whole", async ({ podman, logged }) => {
  await podman(["pod", "create", "--name", "shop", ...infra]);
  await podman(["run", "--detach", "--pod", "shop", "--name", "web", image, "listen"]);
  await logged("web", "ready");
  await podman(["pod", "pause", "shop"]);
  await podman([...states]);
  await podman(["pod", "unpause", "shop"]);
  await podman([...states]);
  await podman(["pod", "kill", "--signal", "KILL", "shop"]);
  await podman(["pod", "rm", "--force", "--time", "0", "shop"]);
});

both("containers of a pod can see each other's processes", async ({ podman, logged }) => {
  await podman(["pod", "create", "--name", "shop", "--share", "pid,uts,ipc", ...infra]);
  await podman(["run", "--detach", "--pod", "shop", "--name", "web", image, "listen"]);
  await logged("web", "ready");
  await podman(["run", "--rm", "--pod", "shop", image, "sh", "-c", "ps -o comm | grep -c listen"]);
  await podman(["pod", "rm", "--force", "--time", "0", "shop"]);
});

both("a container joins the namespaces of another", async ({ podman, logged }) => {
  await podman(["run", "--detach", "--name", "web", image, "listen"]);
  await logged("web", "ready");
  await podman(["run", "--rm", "--pid", "container:web", image, "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline"]);
  await podman([
    "run",
    "--rm",
    "--network",
    "container:web",
    "--ipc",
    "container:web",
    image,
    "ls",
    "/sys/class/net",
  ]);
  await podman(["rm", "--force", "--time", "0", "web"]);
});
