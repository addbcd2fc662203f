import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ExecResult, TestHost } from "../hosts/host.ts";
import { waitFor } from "../hosts/wait.ts";
import type { Client } from "./bench.ts";
import { image, makeImage } from "./image.ts";
import type { Recorder, StepOptions } from "./recorder.ts";
import type { Runtime } from "./runtimes.ts";
import { onTerminal, type Typing } from "./terminal.ts";

export type Containerd = {
  /** `ctr ARGUMENT…`, recorded. */
  ctr(args: string[], options?: StepOptions): Promise<ExecResult>;
  /** `ctr run OPTION… IMAGE ID COMMAND…` with this host's runtime. */
  run(options: string[], id: string, command: string[], more?: StepOptions): Promise<ExecResult>;
  /** The same on a terminal. */
  runTty(id: string, command: string[], typing?: Typing[], more?: StepOptions): Promise<ExecResult>;
  /** `ctr task exec` in a container, without an id that has to be chosen. */
  exec(id: string, command: string[], more?: StepOptions): Promise<ExecResult>;
  /** The words of `run`, for scripts. */
  runWords(options: string[], id: string, command: string[]): string[];
  /** A script of sh, whose `$0` is an empty folder; recorded by its name alone, as it holds the runtime's words. */
  shell(script: string): Promise<ExecResult>;
  /** Waits until the task has that status. */
  becomes(id: string, status: "RUNNING" | "STOPPED" | "PAUSED" | "CREATED"): Promise<void>;
  /** Waits until there is no task. */
  becomesNone(): Promise<void>;
  /** Waits until a file in the container is there. */
  has(id: string, path: string): Promise<void>;
};

const socket = "/run/containerd/containerd.sock";
const ctr = ["ctr", "--address", socket, "--namespace", "clients"];

/** containerd with its files in the host's folder; its shim is told the runtime by each `ctr run`. */
export async function setUpContainerd(host: TestHost, runtime: Runtime): Promise<Client<Containerd>> {
  for (const folder of ["image", "tmp", "shared"]) await mkdir(join(host.dir, folder));
  const archive = await makeImage(join(host.dir, "image"));
  const config = join(host.dir, "containerd.toml");
  await writeFile(config, configText(host));
  const env = { TMPDIR: join(host.dir, "tmp") };
  const must = async (...words: string[]): Promise<string> => {
    const { exitCode, stdout, stderr } = await host.exec(words, { timeoutMs: 60_000, env });
    if (exitCode !== 0) throw new Error(`${words.join(" ")} failed with ${runtime.name}: ${stderr}`);
    return stdout;
  };
  return {
    async boot() {
      // It stays when this shell has gone, and its log with the host's files.
      const start = `setsid containerd --config "$0" </dev/null >"$1" 2>&1 &`;
      await must("sh", "-c", start, config, join(host.dir, "containerd.log"));
      const answers = async () => (await host.exec([...ctr, "version"])).exitCode === 0 || undefined;
      await waitFor(answers, { what: "containerd's answer", timeoutMs: 20_000 });
      await must(...ctr, "image", "import", archive);
      await must(...ctr, "run", "--rm", ...runtimeOptions(runtime), image, "first", "true");
    },
    async clear() {
      await must("sh", "-c", 'rm -rf "$0"/*', join(host.dir, "shared"));
      for (const id of (await must(...ctr, "task", "ls", "--quiet")).split("\n").filter(Boolean)) {
        await host.exec([...ctr, "task", "rm", "--force", id]);
      }
      for (const id of (await must(...ctr, "container", "ls", "--quiet")).split("\n").filter(Boolean))
        await must(...ctr, "container", "rm", id);
    },
    calls: (record) => callsOf(host, runtime, record),
  };
}

function callsOf(host: TestHost, runtime: Runtime, record: Recorder): Containerd {
  const options = runtimeOptions(runtime);
  let execs = 0;
  const nextExec = () => {
    execs += 1;
    return ["--exec-id", `exec-${execs}`];
  };
  return {
    ctr: (args, more) => record.run([...ctr, ...args], more, ["ctr", ...args]),
    run: (own, id, command, more) =>
      record.run([...ctr, "run", ...own, ...options, image, id, ...command], more, [
        "ctr",
        "run",
        ...own,
        id,
        ...command,
      ]),
    runTty: (id, command, typing = [], more = {}) =>
      record.run(
        onTerminal([...ctr, "run", "--rm", "--tty", ...options, image, id, ...command], typing),
        { env: { TERM: "xterm" }, ...more },
        ["ctr", "run", "--rm", "--tty", id, ...command],
      ),
    exec: (id, command, more) =>
      record.run([...ctr, "task", "exec", ...nextExec(), id, ...command], more, [
        "ctr",
        "task",
        "exec",
        id,
        ...command,
      ]),
    runWords: (own, id, command) => [...ctr, "run", ...own, ...options, image, id, ...command],
    shell: (script) => record.run(["sh", "-c", script, join(host.dir, "shared")], {}, ["a script"]),
    async becomes(id, status) {
      const isIt = async () =>
        (await host.exec([...ctr, "task", "ls"])).stdout
          .split("\n")
          .some((line) => line.startsWith(`${id} `) && line.endsWith(status)) || undefined;
      await waitFor(isIt, { what: `${id} becoming ${status}`, timeoutMs: 15_000 });
    },
    async becomesNone() {
      const isNone = async () =>
        (await host.exec([...ctr, "task", "ls", "--quiet"])).stdout === "" || undefined;
      await waitFor(isNone, { what: "the end of all tasks", timeoutMs: 15_000 });
    },
    async has(id, path) {
      const isThere = async () =>
        (await host.exec([...ctr, "task", "exec", ...nextExec(), id, "test", "-e", path])).exitCode === 0 ||
        undefined;
      await waitFor(isThere, { what: `${path} in ${id}`, timeoutMs: 15_000 });
    },
  };
}

function runtimeOptions({ path }: Runtime): string[] {
  return ["--runtime", "io.containerd.runc.v2", "--runc-binary", path];
}

/** Without CRI, which wants a network. */
function configText(host: TestHost): string {
  return `version = 2
root = "${host.dir}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "${host.dir}/containerd-opt"
`;
}
