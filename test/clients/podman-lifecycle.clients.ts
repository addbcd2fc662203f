import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { type Podman, setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);
const state = ["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}"];

async function start({ podman, logged }: Podman, program: string, ...options: string[]): Promise<void> {
  await podman(["run", "--detach", "--name", "web", ...options, image, program]);
  await logged("web", "ready");
}

both("podman stop asks first", async (client) => {
  await start(client, "listen");
  await client.podman(["stop", "web"]);
  await client.podman([...state, "web"]);
  await client.podman(["logs", "web"]);
  await client.podman(["stop", "web"]);
  await client.podman(["rm", "web"]);
});

both("podman stop kills what does not end in time", async (client) => {
  await start(client, "stubborn");
  await client.podman(["stop", "--time", "1", "web"], { shows: ({ stdout }) => stdout }); // warns with a duration
  await client.podman([...state, "web"]);
  await client.podman(["rm", "web"]);
});

both("podman stop sends the signal that the container wants", async (client) => {
  await start(client, "listen", "--stop-signal", "INT");
  await client.podman(["stop", "web"]);
  await client.podman(["logs", "web"]);
  await client.podman(["rm", "web"]);
});

both("podman kill sends signals by name and by number", async (client) => {
  await start(client, "listen");
  for (const [signal, name] of [
    ["HUP", "HUP"],
    ["SIGUSR1", "USR1"],
    ["12", "USR2"],
  ] as const) {
    await client.podman(["kill", "--signal", signal, "web"]);
    await client.logged("web", `got ${name}`);
  }
  await client.podman(["kill", "--signal", "NOSIG", "web"], { exits: 125 });
  await client.podman(["kill", "web"]);
  await client.becomes("web", "exited");
  await client.podman([...state, "web"]);
  await client.podman(["kill", "web"], { exits: 125 });
  await client.podman(["rm", "web"]);
});

both("a paused container does nothing until it is resumed", async (client) => {
  await start(client, "listen");
  await client.podman(["pause", "web"]);
  await client.podman([...state, "web"]);
  await client.podman(["pause", "web"], { exits: 125 });
  await client.podman(["kill", "--signal", "USR1", "web"]);
  await client.podman(["stop", "web"], { exits: 125 });
  await client.podman(["unpause", "web"]);
  await client.podman([...state, "web"]);
  await client.podman(["unpause", "web"], { exits: 125 });
  await client.logged("web", "got USR1");
  await client.podman(["rm", "--force", "--time", "0", "web"]);
});

both("a paused container can be removed by force", async (client) => {
  await start(client, "listen");
  await client.podman(["pause", "web"]);
  await client.podman(["rm", "--force", "--time", "0", "web"]);
  await client.podman(["ps", "--all", "--quiet"]);
});

both("podman restart gives a new process", async (client) => {
  await start(client, "listen");
  await client.podman(["restart", "web"]);
  await client.podman([...state, "web"]);
  await client.podman(["restart", "--time", "0", "web"]);
  await client.podman(["exec", "web", "true"]);
  await client.podman(["rm", "--force", "--time", "0", "web"]);
});

both("a container that ends is started again where its policy says so", async (client) => {
  await client.podman([
    "run",
    "--detach",
    "--name",
    "web",
    "--restart",
    "on-failure:2",
    image,
    "sh",
    "-c",
    "echo again; exit 1",
  ]);
  await client.shell(
    "until [ \"$(podman inspect --format '{{.RestartCount}} {{.State.Status}}' web)\" = '2 exited' ]; do :; done",
  );
  await client.podman(["logs", "web"]);
  await client.podman(["rm", "web"]);
});

both("podman create, init and start are three steps", async ({ podman, logged }) => {
  await podman(["create", "--name", "web", image, "listen"]);
  await podman(["ps", "--all", "--format", "{{.Names}} {{.State}}"]);
  await podman(["init", "web"]);
  await podman(["inspect", "--format", "{{.State.Status}}", "web"]);
  await podman(["logs", "web"]);
  await podman(["start", "web"]);
  await logged("web", "ready");
  await podman(["start", "web"]);
  await podman(["rm", "web"], { exits: 2 });
  await podman(["rm", "--force", "--time", "0", "web"]);
});

both("one that was made ready and never started can be removed", async ({ podman }) => {
  await podman(["create", "--name", "web", image, "listen"]);
  await podman(["init", "web"]);
  await podman(["rm", "--force", "--time", "0", "web"]);
  await podman(["create", "--name", "web", image, "listen"]);
  await podman(["rm", "web"]);
});

both("podman start --attach gives output and exit code, each time anew", async ({ podman }) => {
  await podman(["create", "--name", "web", image, "sh", "-c", "echo hello; exit 6"]);
  await podman(["start", "--attach", "web"], { exits: 6 });
  await podman(["start", "--attach", "web"], { exits: 6 });
  await podman(["logs", "web"]);
  await podman(["rm", "web"]);
});

both("podman wait gives the exit code", async ({ podman, shell }) => {
  await podman([
    "run",
    "--detach",
    "--name",
    "web",
    image,
    "sh",
    "-c",
    "until [ -e /go ]; do sleep 0.05; done; exit 8",
  ]);
  await shell("podman wait web & podman exec web touch /go; wait $!");
  await podman(["rm", "web"]);
});

both("a process that the host kills is seen as ended", async (client) => {
  await start(client, "listen");
  await client.shell("kill -KILL $(podman inspect --format '{{.State.Pid}}' web)");
  await client.becomes("web", "exited");
  await client.podman([...state, "web"]);
  await client.podman(["start", "web"]);
  await client.podman(["rm", "--force", "--time", "0", "web"]);
});

both("with conmon killed, podman still ends and removes the container", async (client) => {
  await start(client, "listen");
  await client.shell("kill -KILL $(podman inspect --format '{{.State.ConmonPid}}' web)");
  await client.podman(["rm", "--force", "--time", "0", "web"]);
  await client.podman(["ps", "--all", "--quiet"]);
});
