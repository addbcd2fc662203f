import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext, TestFn } from "ava";
import { dist } from "../dist.ts";
import { makeRootfs } from "../e2e/rootfs.ts";
import type { ExecOptions, ExecResult } from "../hosts/host.ts";
import { startHosts, type TestHost, whyNoHosts } from "../hosts/hosts.ts";

/** As much of config.json as tests change. */
export type Config = {
  ociVersion: string;
  process: Record<string, unknown> & { args: string[]; env: string[] };
  root: { path: string; readonly?: boolean };
  mounts: Record<string, unknown>[];
  linux: Record<string, unknown>;
  hooks?: Record<string, unknown>;
  annotations?: Record<string, string>;
};

/** A test host on which the built program runs as OCI clients run it. */
export type OciHost = {
  host: TestHost;
  /** The launcher, as it is installed. */
  program: string;
  /** Runs the program on the host, with the environment of a login. */
  oci(...args: string[]): Promise<ExecResult>;
  /**
   * The same for what leaves a container behind: that keeps the program's own stdout and stderr, and who reads a pipe
   * to its end would wait for it. What was said stands in stdout.
   */
  detached(...args: string[]): Promise<ExecResult>;
  /** Runs a shell script there; `$A` is the program, `$B` the folder of bundles. */
  shell(script: string, options?: ExecOptions): Promise<ExecResult>;
  /** Makes a bundle on the host's root file system, and gives its folder. */
  bundle(name: string, args: string[], edit?: (config: Config) => void): string;
  /** A container of such a bundle, created and started. */
  start(id: string, args: string[], edit?: (config: Config) => void): Promise<void>;
  status(id: string): Promise<string>;
  /** All that containers can leave: processes, mounts, cgroups, state. */
  leftovers(): Promise<string>;
};

export const sleeping = ["/bin/sleep", "1000"];
/** Ends with 7 when it is asked to. */
export const obedient = ["/bin/sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done"];

/** Declares the tests of a file on one host, one after the other; each finds it without containers. */
export function onOciHost(test: TestFn) {
  const reason = whyNoHosts();
  let started: ReturnType<typeof startOciHost> | undefined;
  test.after.always("the host ends", async () => {
    await (await started)?.[Symbol.asyncDispose]();
  });
  return (title: string, body: (t: ExecutionContext, oci: OciHost) => Promise<void>): void => {
    if (reason !== undefined) {
      process.stderr.write(`skipped, ${reason}: ${title}\n`);
      test.skip(title, () => {});
      return;
    }
    test.serial(title, async (t) => {
      t.timeout(120_000);
      started ??= startOciHost();
      const { oci } = await started;
      try {
        await body(t, oci);
      } finally {
        await oci.shell("$A delete --force --regex .");
      }
    });
  };
}

async function startOciHost(): Promise<{ oci: OciHost } & AsyncDisposable> {
  const running = await startHosts({ names: ["oci"] });
  const host = running.host("oci");
  const program = join(dist, "nexcage-agent");
  const bundles = join(host.dir, "bundles");
  await makeRootfs(join(bundles, "rootfs"));

  const shell = (script: string, options: ExecOptions = {}): Promise<ExecResult> =>
    host.exec(["sh", "-c", script], { ...options, env: { A: program, B: bundles, ...options.env } });
  const run = (...args: string[]): Promise<ExecResult> => host.exec([program, ...args]);

  function bundle(name: string, args: string[], edit: (config: Config) => void = () => {}): string {
    const folder = join(bundles, name);
    const config = configOf(join(bundles, "rootfs"), args);
    edit(config);
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "config.json"), JSON.stringify(config));
    return folder;
  }

  const detached = (...args: string[]): Promise<ExecResult> =>
    host.exec(
      [
        "sh",
        "-c",
        '"$@" >"$B/said" 2>&1 </dev/null; code=$?; cat "$B/said"; exit $code',
        "sh",
        program,
        ...args,
      ],
      {
        env: { B: bundles },
      },
    );

  const oci: OciHost = {
    host,
    program,
    oci: run,
    shell,
    bundle,
    detached,
    async start(id, args, edit) {
      for (const words of [
        ["create", "--bundle", bundle(id, args, edit), id],
        ["start", id],
      ]) {
        const { exitCode, stdout } = await detached(...words);
        if (exitCode !== 0) throw new Error(`${id} does not start: ${stdout}`);
      }
    },
    status: async (id) => JSON.parse((await run("state", id)).stdout).status,
    leftovers: async () => (await shell(leftoversScript)).stdout,
  };
  return { oci, [Symbol.asyncDispose]: () => running.stop() };
}

function configOf(rootfs: string, args: string[]): Config {
  return {
    ociVersion: "1.0.2",
    process: { user: { uid: 0, gid: 0 }, args: [...args], env: ["PATH=/bin"], cwd: "/" },
    root: { path: rootfs },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      {
        destination: "/dev/pts",
        type: "devpts",
        source: "devpts",
        options: ["newinstance", "ptmxmode=0666", "mode=0620"],
      },
      { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
    ],
    linux: {
      namespaces: [{ type: "pid" }, { type: "mount" }, { type: "ipc" }, { type: "uts" }],
      resources: {},
    },
  };
}

/** Processes that end a moment later than their container are waited for. */
const leftoversScript = `
cd /
list() {
  find run/nexcage -mindepth 1 ! -path run/nexcage/.crun ! -path 'run/nexcage/.crun/.cache*' 2>/dev/null | sort
  find sys/fs/cgroup -mindepth 2 -path '*nexcage-oci/*' -type d ! -path 'sys/fs/cgroup/unified/*' | sort
  cat proc/mounts | wc -l
  for comm in proc/[0-9]*/comm; do cat "$comm" 2>/dev/null; done | grep -v -x -e catatonit -e sshd -e sh -e cat -e grep -e sort -e wc -e find | sort
}
last=$(list); tries=0
while [ $tries -lt 20 ]; do
  sleep 0.05; next=$(list); tries=$((tries + 1))
  [ "$next" != "$last" ] || break
  last=$next
done
echo "$last"
`;
