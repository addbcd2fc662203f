import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { type Config, onOciHost, sleeping } from "./oci-host.ts";

const ociTest = onOciHost(test);

/** Hooks that write what they hear on stdin, and where they are, into the folder of the bundle; in the container into /tmp. */
function withHooks(folder: string, names: string[]): (config: Config) => void {
  const hook = (name: string, to: string) => ({
    path: "/bin/sh",
    args: ["sh", "-c", `{ cat; echo; readlink /proc/self/ns/mnt; echo "$COLOUR"; } >${to}/${name}`],
    env: ["PATH=/bin:/usr/bin", "COLOUR=blue"],
  });
  return (config) => {
    config.annotations = { "a.b": "c" };
    config.hooks = Object.fromEntries(
      names.map((name) => [name, [hook(name, name === "startContainer" ? "/tmp" : folder)]]),
    );
  };
}

ociTest(
  "each hook runs at its time, where it belongs, with the state on stdin and its own environment alone",
  async (t, { oci, shell, detached, bundle }) => {
    const folder = bundle("web", []);
    const names = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    bundle("web", sleeping, withHooks(folder, names));
    const written = async () =>
      (await shell(`cd ${folder} && ls`)).stdout.split("\n").filter((name: string) => name !== "config.json");
    const heard = async (name: string) => {
      const [state = "", namespace, colour] = (await shell(`cat ${folder}/${name}`)).stdout.split(
        /\n(?=mnt)|\n(?=blue)/,
      );
      return { ...JSON.parse(state), namespace, colour };
    };
    t.is((await detached("create", "--bundle", folder, "web")).exitCode, 0);
    t.deepEqual(await written(), ["createContainer", "createRuntime", "prestart"]);
    const { pid } = JSON.parse((await oci("state", "web")).stdout);
    const host = (await shell("readlink /proc/self/ns/mnt")).stdout;
    const inside = (await shell(`readlink /proc/${pid}/ns/mnt`)).stdout;
    for (const name of ["prestart", "createRuntime"])
      t.like(
        await heard(name),
        {
          id: "web",
          pid,
          status: "created",
          bundle: folder,
          annotations: { "a.b": "c" },
          namespace: host,
          colour: "blue",
        },
        name,
      );
    t.like(await heard("createContainer"), { id: "web", namespace: inside });
    t.is((await oci("start", "web")).exitCode, 0);
    t.like(await heard("poststart"), { id: "web", pid, status: "running", namespace: host });
    const [state = ""] = (await oci("exec", "web", "cat", "/tmp/startContainer")).stdout.split("\nmnt");
    t.like(JSON.parse(state), { id: "web" }); // its bundle is "/" there, in libcrun 1.21
    t.is((await oci("delete", "--force", "web")).exitCode, 0);
    t.like(await heard("poststop"), { id: "web", status: "stopped", namespace: host });
  },
);

ociTest(
  "a hook that fails ends a create, and poststart's and poststop's do not",
  async (t, { oci, detached, bundle, status, leftovers }) => {
    const before = await leftovers();
    for (const name of ["prestart", "createRuntime", "createContainer"]) {
      const folder = bundle("web", sleeping, (config) => {
        config.hooks = { [name]: [{ path: "/bin/sh", args: ["sh", "-c", "exit 3"] }] };
      });
      const { exitCode, stdout } = await detached("create", "-b", folder, "web");
      t.is(exitCode, 1, name);
      t.is(stdout.split("\n")[0], "error executing hook `/bin/sh` (exit code: 3)", name); // createContainer's is told twice
      t.is(await leftovers(), before, name);
    }
    const folder = bundle("web", sleeping, (config) => {
      config.hooks = { poststart: [{ path: "/bin/false" }], poststop: [{ path: "/bin/false" }] };
    });
    t.is((await detached("create", "-b", folder, "web")).exitCode, 0);
    t.is((await oci("start", "web")).exitCode, 0);
    t.is(await status("web"), "running");
    t.is((await oci("delete", "-f", "web")).exitCode, 0);
    t.is(await leftovers(), before);
  },
);

ociTest(
  "a hook without an environment of its own has the caller's, and one that takes too long is ended",
  async (t, { shell, bundle }) => {
    const folder = bundle("web", ["/bin/true"], (config) => {
      config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "echo $MINE >/run/mine"] }] };
    });
    t.is((await shell(`MINE=yes $A run -b ${folder} web; cat /run/mine`)).stdout, "yes");
    const script = join(folder, "slow");
    writeFileSync(script, "#!/bin/sh\nexec sleep 1000\n");
    chmodSync(script, 0o755);
    bundle("web", ["/bin/true"], (config) => {
      config.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1 }] };
    });
    const slow = await shell(`$A run -b ${folder} web`);
    t.is(slow.exitCode, 1);
    t.regex(slow.stderr, /hook/);
  },
);

ociTest("a hook that does not read its state harms nobody", async (t, { shell, bundle }) => {
  const folder = bundle("web", ["/bin/true"], (config) => {
    config.hooks = {
      createRuntime: [{ path: "/bin/true", timeout: 2 }],
      poststop: [{ path: "/bin/true", timeout: 2 }],
    };
  });
  const { stdout, stderr } = await shell(`for i in $(seq 100); do $A run -b ${folder} web || echo $?; done`, {
    timeoutMs: 60_000,
  });
  t.is(stdout, "");
  t.is(stderr, "");
});
