import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { codeBlocks } from "../docs/markdown.ts";
import { startHosts } from "../hosts/hosts.ts";
import { image } from "./image.ts";
import { setUpPodman } from "./podman.ts";
import { whyNoClients } from "./requirements.ts";
import { underTest } from "./runtimes.ts";

const reason = whyNoClients();
const page = join(import.meta.dirname, "../../docs/oci-runtime.md");

/** The page's files for clients, with this build in place of the one that is installed. */
async function files(): Promise<string[]> {
  const blocks = codeBlocks(await readFile(page, "utf8")).filter(({ language }) => language === "toml");
  return blocks.map(({ code }) => code.replaceAll("/usr/bin/nexcage-agent", underTest.path));
}

const titles = {
  podman: "podman runs containers with the three lines of the page",
  containerd: "containerd finds the runtime by the three lines of the page",
};

if (reason !== undefined)
  for (const title of Object.values(titles)) test.skip(`${title} (${reason})`, () => {});
else {
  test(titles.podman, async (t) => {
    const [lines = ""] = await files();
    t.is(lines.trim().split("\n").length, 3);
    await using hosts = await startHosts({ names: ["docs"] });
    const host = hosts.host("docs");
    const client = await setUpPodman(host, underTest);
    await client.boot();
    // What a machine without CAP_SYS_RESOURCE needs beside them, for any runtime.
    const limits =
      '[containers]\ndefault_ulimits = ["nofile=1024:2048", "nproc=2048:4096"]\nnetns = "none"\n';
    await host.exec(["tee", "/etc/containers/containers.conf"], { input: `${lines}\n${limits}` });
    const env = { TMPDIR: join(host.dir, "tmp") };
    const podman = (...args: string[]) => host.exec(["podman", ...args], { env });
    t.is((await podman("info", "--format", "{{.Host.OCIRuntime.Path}}")).stdout, underTest.path);
    t.deepEqual(await podman("run", "--rm", image, "echo", "works"), {
      exitCode: 0,
      stdout: "works",
      stderr: "",
    });
    await podman("run", "--detach", "--name", "web", image, "sleep", "1000");
    const { stdout } = await host.exec([underTest.path, "list"]);
    t.regex(stdout, /^[0-9a-f]{64} +\d+ +running .* podman$/m);
    await client.clear();
  });

  test(titles.containerd, async (t) => {
    const [, lines = ""] = await files();
    t.is(lines.trim().split("\n").length, 3);
    await using hosts = await startHosts({ names: ["docs"] });
    const file = join(hosts.host("docs").dir, "config.toml");
    await writeFile(file, `version = 2\n${lines}`);
    const { stdout } = await execa("containerd", ["--config", file, "config", "dump"]);
    t.regex(stdout, new RegExp(`runtimes\\.nexcage\\.options\\]\\s+BinaryName = "${underTest.path}"`));
  });
}
