import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);

both("podman run -it is a terminal of the user's size", async ({ podmanTty }) => {
  await podmanTty([
    "run",
    "--rm",
    "--interactive",
    "--tty",
    image,
    "sh",
    "-c",
    "tty; stty size; test -t 0 && test -t 1 && test -t 2",
  ]);
});

both("what is typed comes, and Ctrl-C is a signal", async ({ podmanTty }) => {
  const typing = [
    { after: "name?", type: "you\r" },
    { after: "ready", type: "\x03" },
  ];
  const script = "echo -n 'name? '; read name; echo hello $name; exec listen";
  await podmanTty(["run", "--rm", "--interactive", "--tty", image, "sh", "-c", script], typing, { exits: 3 });
});

both("another size of the terminal reaches the program", async ({ podmanTty }) => {
  const script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done";
  const typing = [{ after: "ready", resize: [50, 120] as [number, number] }];
  await podmanTty(["run", "--rm", "--interactive", "--tty", image, "sh", "-c", script], typing);
});

both("podman run -t alone, and in the background, has a terminal", async ({ podman, logged }) => {
  await podman([
    "run",
    "--detach",
    "--tty",
    "--name",
    "web",
    image,
    "sh",
    "-c",
    "tty; test -t 1 && exec listen",
  ]);
  await logged("web", "ready");
  await podman(["exec", "web", "sh", "-c", "ls /dev/pts"]);
  await podman(["logs", "web"]);
  await podman(["rm", "--force", "--time", "0", "web"]);
});

both(
  "podman exec -it is a terminal too, with the program's exit code",
  async ({ podman, podmanTty, logged }) => {
    const execIt = (...words: string[]) => ["exec", "--interactive", "--tty", ...words];
    await podman(["run", "--detach", "--name", "web", image, "listen"]);
    await logged("web", "ready");
    const script = "stty size; tty; echo -n 'name? '; read name; echo hello $name; exit 4";
    await podmanTty(execIt("web", "sh", "-c", script), [{ after: "name?", type: "you\r" }], { exits: 4 });
    await podmanTty(execIt("web", "not-there"), [], { exits: 127 });
    const write = "stat -c %u $(tty); echo written >$(tty)";
    await podmanTty(execIt("--user", "guest", "web", "sh", "-c", write), [], { exits: 1 });
    await podman(["rm", "--force", "--time", "0", "web"]);
  },
);

both("a user who is not root has the terminal", async ({ podmanTty }) => {
  const script = "stat -c %u $(tty); echo written >$(tty); echo written >/dev/stdout";
  await podmanTty(["run", "--rm", "--interactive", "--tty", "--user", "guest", image, "sh", "-c", script]);
});

both("one detaches from a terminal and attaches again", async ({ podman, podmanTty, logged }) => {
  const detach = [{ after: "ready", type: "\x11" }]; // one key: two may reach podman in one read, and are no detach keys then
  await podmanTty(
    ["run", "--interactive", "--tty", "--detach-keys", "ctrl-q", "--name", "web", image, "listen"],
    detach,
  );
  await podman(["ps", "--format", "{{.Names}} {{.State}}"]);
  await podman(["kill", "--signal", "USR1", "web"]);
  await logged("web", "got USR1");
  await podman(["rm", "--force", "--time", "0", "web"]);
});
