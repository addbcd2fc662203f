import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import type { ExecResult, TestHost } from "../hosts/host.ts";
import type { Runtime } from "./runtimes.ts";

export type Direct = {
  /** Runs the runtime itself; what its container keeps open is no pipe of ours. */
  call(args: string[]): Promise<ExecResult>;
  /** The same, killed after so long: what it was in the middle of stays as it is. */
  killed(args: string[], afterMs: number): Promise<void>;
  bundle: string;
  /** All containers that it knows. */
  ids(): Promise<string[]>;
};

/** A runtime on a host with a bundle whose program waits to be killed. */
export async function direct(host: TestHost, { path }: Runtime): Promise<Direct> {
  const bundle = join(host.dir, "bundle");
  const rootfs = join(bundle, "rootfs");
  for (const name of ["bin", "dev", "proc", "sys"]) await mkdir(join(rootfs, name), { recursive: true });
  await cp("/bin/busybox", join(rootfs, "bin/sleep"));
  await writeFile(join(bundle, "config.json"), await config());
  // Where a container writes, its runtime does too; a pipe would be open for as long as the container runs.
  const toFile = [
    "sh",
    "-c",
    'log=$(mktemp -p "$0"); "$@" </dev/null >"$log" 2>&1; code=$?; cat "$log"; rm "$log"; exit $code',
  ];
  const words = (args: string[]) => [...toFile, host.dir, path, ...args];
  return {
    bundle,
    call: (args) => host.exec(words(args), { timeoutMs: 60_000 }),
    async killed(args, afterMs) {
      const seconds = String(afterMs / 1000);
      await host.exec([...toFile, host.dir, "timeout", "--signal=KILL", seconds, path, ...args], {
        timeoutMs: 60_000,
      });
    },
    async ids() {
      const { stdout } = await host.exec([path, "list", "-q"]);
      return stdout.split("\n").filter(Boolean);
    },
  };
}

/** crun's own default, without what wants a terminal, and with a program that waits. */
async function config(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-spec-"));
  try {
    await execa("crun", ["spec"], { cwd: folder });
    const spec = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    spec.process = { ...spec.process, terminal: false, args: ["/bin/sleep", "1000"], rlimits: [] };
    return JSON.stringify(spec);
  } finally {
    await rm(folder, { recursive: true });
  }
}
