import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { type Podman, setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);

async function web({ podman, logged }: Podman, ...options: string[]): Promise<void> {
  await podman(["run", "--detach", "--name", "web", ...options, image, "listen"]);
  await logged("web", "ready");
}

async function end({ podman }: Podman): Promise<void> {
  await podman(["rm", "--force", "--time", "0", "web"]);
}

both("podman exec gives the program's output and exit code", async (client) => {
  await web(client);
  await client.podman(["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 9"], { exits: 9 });
  await client.podman(["exec", "web", "sh", "-c", "kill -KILL $$"], { exits: 137 });
  await client.podman(["exec", "web", "true"]);
  await end(client);
});

both("podman exec -i reads stdin to its end", async (client) => {
  await web(client);
  await client.podman(["exec", "--interactive", "web", "sh", "-c", "cat; echo end"], { input: "one\ntwo\n" });
  await client.podman(["exec", "web", "wc", "-c"], { input: "nobody reads this" });
  await end(client);
});

both("podman exec takes environment, user and working directory", async (client) => {
  await web(client, "--env", "OF=container", "--user", "guest");
  await client.podman(["exec", "web", "sh", "-c", "id; echo $OF; pwd; echo $HOME"]);
  await client.podman([
    "exec",
    "--env",
    "OF=exec",
    "--user",
    "0",
    "--workdir",
    "/data",
    "web",
    "sh",
    "-c",
    "id; echo $OF; pwd; echo $HOME",
  ]);
  await client.podman(["exec", "--privileged", "web", "grep", "CapBnd", "/proc/self/status"]);
  await client.podman(["exec", "web", "grep", "-E", "^(Cap|NoNewPrivs|Seccomp:)", "/proc/self/status"]);
  await end(client);
});

both("podman exec of a program that is not there is 127, of one that cannot be run 126", async (client) => {
  await web(client);
  for (const program of ["not-there", "/not/there"])
    await client.podman(["exec", "web", program], { exits: 127 });
  for (const program of ["not-executable", "/bin/not-executable", "/etc"])
    await client.podman(["exec", "web", program], { exits: 126 });
  await client.podman(["exec", "web", "no-interpreter"], { exits: 1 });
  await client.podman(["exec", "--workdir", "/not/there", "web", "true"], { exits: 127 });
  await client.podman(["exec", "--user", "nobody-here", "web", "true"], { exits: 255 });
  await end(client);
});

both("podman exec into what does not run is refused", async (client) => {
  await client.podman(["create", "--name", "web", image, "listen"]);
  await client.podman(["exec", "web", "true"], { exits: 255 });
  await client.podman(["exec", "nothing", "true"], { exits: 125 });
  await client.podman(["start", "web"]);
  await client.logged("web", "ready");
  await client.podman(["pause", "web"]);
  await client.podman(["exec", "web", "true"], { exits: 255 });
  await client.podman(["unpause", "web"]);
  await client.podman(["exec", "web", "true"]);
  await end(client);
});

both("podman exec -d goes on by itself", async (client) => {
  await web(client);
  await client.podman(["exec", "--detach", "web", "sh", "-c", "echo done >/tmp/done; exec sleep 1000"]);
  await client.podman([
    "exec",
    "web",
    "sh",
    "-c",
    "until [ -s /tmp/done ]; do sleep 0.05; done; cat /tmp/done",
  ]);
  await client.podman(["exec", "web", "sh", "-c", "ps -o args | grep -x 'sleep 1000'"]);
  await end(client);
});

both("many at once get each its own output", async (client) => {
  await web(client);
  const numbers = Array.from({ length: 8 }, (_, index) => index);
  const script = (number: number) => `podman exec web sh -c "echo ${number}; exit ${number}"; echo $?;`;
  const all = numbers.map((number) => `{ ${script(number)} } >"$0/${number}" 2>&1 &`).join(" ");
  await client.shell(`${all} wait; cat "$0"/*`, client.folder);
  await end(client);
});

both("an exec ends with its container", async (client) => {
  await web(client);
  const script =
    "podman exec web sleep 999 & until podman top web args | grep -q 'sleep 999'; do :; done; podman kill web; wait $!; echo $?";
  await client.shell(script);
  await end(client);
});

both("podman exec hands on descriptors", async (client) => {
  await web(client);
  await client.shell(
    'echo three >"$0/three"; exec 3<"$0/three"; podman exec --preserve-fds 1 web sh -c "cat <&3"',
    client.folder,
  );
  await end(client);
});
