import test from "ava";
import { onBothRuntimes } from "./bench.ts";
import { image } from "./image.ts";
import { setUpPodman } from "./podman.ts";

const both = onBothRuntimes(test, setUpPodman);

// Podman reads a runtime's log file where it knows that the runtime writes JSON, and stderr otherwise.
for (const runtime of ["oci", "oci-stderr"]) {
  const channel = runtime === "oci" ? "its log file" : "stderr";
  const run = ["--runtime", runtime, "run", "--rm"];

  both(`a program that is not there is 127, by ${channel}`, async ({ podman }) => {
    await podman([...run, image, "not-there"], { exits: 127 });
    await podman([...run, image, "/not/there"], { exits: 127 });
    await podman([...run, image, "no-interpreter"], { exits: 1 });
    await podman([...run, "--entrypoint", '["not-there", "x"]', image], { exits: 127 });
  });

  both(`a program that cannot be run is 126, by ${channel}`, async ({ podman }) => {
    await podman([...run, image, "not-executable"], { exits: 126 });
    await podman([...run, image, "/bin/not-executable"], { exits: 126 });
    await podman([...run, image, "/etc"], { exits: 126 });
  });

  both(
    `a container whose mounts cannot be made is not made, by ${channel}`,
    async ({ podman, folder }, record) => {
      await record.run(["mkdir", `${folder}/gone`]);
      await podman([
        "--runtime",
        runtime,
        "create",
        "--name",
        "web",
        "--volume",
        `${folder}/gone:/data`,
        image,
        "true",
      ]);
      await record.run(["rmdir", `${folder}/gone`]);
      await podman(["--runtime", runtime, "start", "web"], { exits: 125 });
      await podman(["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "web"]);
      await podman(["rm", "web"]);
    },
  );

  both(`limits that the kernel refuses are an error, by ${channel}`, async ({ podman }) => {
    await podman([...run, "--sysctl", "kernel.msgmax=nonsense", image, "true"], { exits: 126 });
    await podman([...run, "--ulimit", "nofile=100000000:100000000", image, "true"], { exits: 126 });
  });
}

both("a start that fails is podman's own 125 where podman sees it first", async ({ podman }) => {
  await podman(["run", "--rm", "--memory", "lots", image, "true"], { exits: 125 });
  await podman(["run", "--rm", "localhost/nothing", "true"], { exits: 125 });
  await podman(["run", "--rm", "--runtime", "/not/there", image, "true"], { exits: 125 });
});

both("podman info shows the runtime's version", async ({ podman }, record) => {
  const { stdout } = await podman([
    "info",
    "--format",
    "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}",
  ]);
  record.expect("it is the one of this host", stdout.startsWith("oci "));
});

both("checkpoints are refused", async ({ podman, logged }) => {
  await podman(["run", "--detach", "--name", "web", image, "listen"]);
  await logged("web", "ready");
  await podman(["container", "checkpoint", "web"], { exits: 125 });
  await podman(["container", "restore", "web"], { exits: 125 });
  await podman(["rm", "--force", "--time", "0", "web"]);
});
