import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ExecResult, TestHost } from "../hosts/host.ts";
import { waitFor } from "../hosts/wait.ts";
import type { Client } from "./bench.ts";
import { image, makeImage } from "./image.ts";
import type { Recorder, StepOptions } from "./recorder.ts";
import type { Runtime } from "./runtimes.ts";
import { onTerminal, type Typing } from "./terminal.ts";

export type Podman = {
  /** `podman ARGUMENT…`, recorded. */
  podman(args: string[], options?: StepOptions): Promise<ExecResult>;
  /** The same on a terminal of 40 lines and 100 columns, on which something is typed. */
  podmanTty(args: string[], typing?: Typing[], options?: StepOptions): Promise<ExecResult>;
  /** A script of sh with arguments from `$0` on, recorded. */
  shell(script: string, ...args: string[]): Promise<ExecResult>;
  /** As `podman`, and then what the user's NOTIFY_SOCKET was told. */
  notified(args: string[], options?: StepOptions): Promise<ExecResult>;
  /** Waits until the logs of a container have a line. */
  logged(name: string, line: string): Promise<void>;
  /** Waits until podman has seen a container in that state. */
  becomes(name: string, state: string): Promise<void>;
  /** A folder of the host's for a case, the same path for both. */
  folder: string;
};

/** Podman with its files in the host's folder, and one runtime, which it calls `oci`. */
export async function setUpPodman(host: TestHost, runtime: Runtime): Promise<Client<Podman>> {
  for (const folder of ["containers", "image", "tmp", "shared"]) await mkdir(join(host.dir, folder));
  const archive = await makeImage(join(host.dir, "image"));
  const must = async (...words: string[]): Promise<void> => {
    const { exitCode, stderr } = await host.exec(words, { timeoutMs: 60_000, env: environment(host) });
    if (exitCode !== 0) throw new Error(`${words.join(" ")} failed with ${runtime.name}: ${stderr}`);
  };
  let isNew = true;
  return {
    async boot() {
      // Podman's locks lie there, and would be those of the machine.
      await must("mount", "-t", "tmpfs", "tmpfs", "/dev/shm");
      if (isNew) {
        await must("mkdir", "-p", "/etc/containers");
        await must(
          "cp",
          await stage(host, "containers.conf", containersConf(host, runtime)),
          "/etc/containers/",
        );
        await must("cp", await stage(host, "storage.conf", storageConf(host)), "/etc/containers/");
        await must("podman", "load", "--quiet", "--input", archive);
        isNew = false;
      }
      // What podman makes once for all containers is not a container's to leave.
      await must("podman", "run", "--rm", image, "true");
    },
    async clear() {
      await must("podman", "pod", "rm", "--force", "--all", "--time", "0");
      await must("podman", "rm", "--force", "--all", "--time", "0", "--volumes");
      await must("sh", "-c", 'rm -rf "$0"/*', join(host.dir, "shared"));
    },
    calls: (record) => callsOf(host, record),
  };
}

function callsOf(host: TestHost, record: Recorder): Podman {
  const env = environment(host);
  const quietly = (...args: string[]) => host.exec(["podman", ...args], { env });
  return {
    podman: (args, options) => record.run(["podman", ...args], { env, ...options }),
    podmanTty: (args, typing = [], options = {}) =>
      record.run(onTerminal(["podman", ...args], typing), { env, ...options }, ["podman", ...args]),
    shell: (script, ...args) => record.run(["sh", "-c", script, ...args], { env }),
    notified: (args, options) =>
      record.run(
        ["python3", join(import.meta.dirname, "notified.py"), "podman", ...args],
        { env, ...options },
        ["podman", ...args],
      ),
    async logged(name, line) {
      const hasLine = async () =>
        (await quietly("logs", name)).stdout.split(/\r?\n/).includes(line) || undefined;
      await waitFor(hasLine, { what: `"${line}" in the logs of ${name}`, timeoutMs: 15_000 });
    },
    async becomes(name, state) {
      const isIt = async () =>
        (await quietly("inspect", "--type", "container", "--format", "{{.State.Status}}", name)).stdout ===
          state || undefined;
      await waitFor(isIt, { what: `${name} becoming ${state}`, timeoutMs: 15_000 });
    },
    folder: join(host.dir, "shared"),
  };
}

function environment(host: TestHost): Record<string, string> {
  return { TMPDIR: join(host.dir, "tmp"), TERM: "xterm" };
}

/** Writes a file that the host then copies to where it belongs: its /etc is changed from inside alone. */
async function stage(host: TestHost, name: string, text: string): Promise<string> {
  const path = join(host.dir, name);
  await writeFile(path, text);
  return path;
}

/** `oci` for both runtimes, because podman knows some by name; `oci-stderr` gets no log file. */
function containersConf(host: TestHost, runtime: Runtime): string {
  return `[containers]
netns = "none"
log_driver = "k8s-file"
# More than a machine without CAP_SYS_RESOURCE allows is podman's own default.
default_ulimits = ["nofile=1024:2048", "nproc=2048:4096"]
init_path = "/usr/bin/catatonit"
[engine]
runtime = "oci"
runtime_supports_json = ["oci"]
runtime_supports_nocgroup = ["oci", "oci-stderr"]
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "${image}"
tmp_dir = "/run/libpod"
volume_path = "${host.dir}/containers/volumes"
[engine.runtimes]
oci = ["${runtime.path}"]
oci-stderr = ["${runtime.path}"]
`;
}

function storageConf(host: TestHost): string {
  return `[storage]
driver = "overlay"
graphroot = "${host.dir}/containers/storage"
runroot = "/run/containers/storage"
`;
}
