import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ExecutionContext, TestFn } from "ava";
import type { Change, Observed } from "../../shared/container.ts";
import type { ErrorJson } from "../../shared/errors.ts";
import { ContainerId, Digest, OperationId } from "../../shared/ids.ts";
import type { BackendName, ContainerSpec } from "../../shared/spec.ts";
import { startHosts, type TestHost, whyNoHosts } from "../hosts/hosts.ts";
import { bundle } from "./bundle.ts";
import type { Operation } from "./program.ts";

/** What an operation of `program.ts` gave. */
export type Outcome = Partial<Change & Observed> & { error?: ErrorJson };

type CommandResult = { exitCode: number | undefined; stdout: string; stderr: string };

/** A test host with one image, and agents on it that are real processes. */
export type AgentHost = {
  host: TestHost;
  /** Runs an agent; undefined for each operation that it did not come to. */
  run(...operations: Operation[]): Promise<(Outcome | undefined)[]>;
  /** Runs an agent that is killed so long after it has opened its first runtime. */
  killed(operations: Operation[], options: { killAfterMs: number }): Promise<void>;
  list(): Promise<Observed[]>;
  /** Runs the product's own command line. */
  command(...args: string[]): Promise<CommandResult>;
  /** The same, not started by its launcher. */
  unsealedCommand(...args: string[]): Promise<CommandResult>;
  shell(script: string): Promise<string>;
  /** Everything that a container leaves on a host, and nothing of journals, whose entries stay for a day, or of
   *  libcrun's own cache. */
  leftovers(): Promise<string>;
  /** Deletes all containers but the resident. */
  clear(): Promise<void>;
};

export const image = Digest.parse(`sha256:${"ab".repeat(32)}`);

/** A container that tests may leave to those after them: it keeps the image from being pruned. */
export const residentId = ContainerId.parse("resident");

const programs = new Map<string, Promise<string>>();

/** Bundles a program once for the whole test file. */
function bundled(entry: string): Promise<string> {
  const made = programs.get(entry) ?? bundle(entry);
  programs.set(entry, made);
  return made;
}

let lastOperation = 0;
export function newOperation(): OperationId {
  lastOperation += 1;
  return OperationId.parse(`operation-${process.pid}-${lastOperation}`);
}

export type OciRuntimeName = Exclude<BackendName, "lxc">;

/** Makes specs of containers that say `hello`, and end with 0 when they are asked to. */
export function specsOf(runtime: OciRuntimeName) {
  return (id: string, more: Partial<ContainerSpec> = {}): ContainerSpec => ({
    id: ContainerId.parse(id),
    runtime,
    source: { kind: "image", digest: image },
    command: ["/bin/sh", "-c", "trap 'exit 0' TERM; echo hello; while :; do sleep 0.05; done"],
    stopGracePeriodMs: 5_000,
    ...more,
  });
}

/**
 * Declares the tests of a file on one host, one after the other; each finds it without containers. Where
 * there can be no hosts they are skipped, and say why.
 */
export function onAgentHost(test: TestFn) {
  const reason = whyNoHosts();
  let started: ReturnType<typeof startAgentHost> | undefined;
  test.after.always("the host ends", async () => {
    await (await started)?.[Symbol.asyncDispose]();
    for (const program of programs.values()) rmSync(dirname(await program), { recursive: true, force: true });
  });
  return (title: string, body: (t: ExecutionContext, agent: AgentHost) => Promise<void>): void => {
    if (reason !== undefined) {
      process.stderr.write(`skipped, ${reason}: ${title}\n`);
      test.skip(title, () => {});
      return;
    }
    test.serial(title, async (t) => {
      t.timeout(120_000);
      started ??= startAgentHost();
      const { agent } = await started;
      putImage(join(agent.host.dir, "lib/images", image.replace(":", "-"), "rootfs")); // pruned by the test before
      try {
        await body(t, agent);
      } finally {
        await agent.clear();
      }
    });
  };
}

async function startAgentHost(): Promise<{ agent: AgentHost } & AsyncDisposable> {
  const native = execFileSync(join(import.meta.dirname, "../../native/build"), { encoding: "utf8" }).trim();
  const launch = [join(native, "nexcage-launch"), process.execPath];
  const program = await bundled("test/agent/program.ts");
  const main = await bundled("agent/main.ts");
  // As the product has it: the libraries are beside the program.
  for (const file of [program, main])
    for (const name of ["libncx.so", "nexcage-forker", "nexcage-monitor", "nexcage-shim"])
      symlinkSync(join(native, name), join(dirname(file), name));
  const running = await startHosts({ names: ["agent"] });
  const host = running.host("agent");

  const shell = async (script: string): Promise<string> => (await host.exec(["sh", "-c", script])).stdout;
  async function run(...operations: Operation[]): Promise<(Outcome | undefined)[]> {
    const { stdout, stderr } = await host.exec([...launch, program, JSON.stringify(operations)], {
      timeoutMs: 100_000,
    });
    const lines = stdout.split("\n").filter((line) => line !== "");
    const isCut = operations.some((operation) => "killAt" in operation);
    if (lines.length < operations.length && !isCut) throw new Error(`the agent failed: ${stderr}`);
    return operations.map((_, index): Outcome | undefined => JSON.parse(lines[index] ?? "null") ?? undefined);
  }
  async function killed(operations: Operation[], { killAfterMs }: { killAfterMs: number }): Promise<void> {
    await host.exec([...launch, program, JSON.stringify(operations), String(killAfterMs)]);
  }
  const list = async (): Promise<Observed[]> => {
    const [all] = await run({ do: "list" });
    return all as unknown as Observed[]; // what `list` gives
  };
  const agent: AgentHost = {
    host,
    run,
    killed,
    list,
    shell,
    command: (...args) => host.exec([...launch, main, ...args]),
    unsealedCommand: (...args) => host.exec([process.execPath, main, ...args]),
    leftovers: () => shell(leftoversScript),
    async clear() {
      // An agent takes longer to start than a look at the files.
      const there = await shell(
        "ls /var/lib/nexcage/containers /run/nexcage/.crun /run/nexcage/.runc 2>/dev/null",
      );
      if (!there.split("\n").some((name) => /^[a-z]/.test(name) && !name.startsWith(residentId))) return;
      const gone = (await list())
        .filter(({ id }) => id !== residentId)
        .map(({ id }): Operation => ({ do: "delete", id, force: true, operationId: newOperation() }));
      await run(...gone);
    },
  };
  return { agent, [Symbol.asyncDispose]: () => running.stop() };
}

/** A killed agent's forker ends when it sees that; the resident's init, which never starts, looks like one. */
const leftoversScript = `
cd /; tries=50
while [ $tries -gt 0 ] && [ "$(cat proc/[0-9]*/comm 2>/dev/null | grep -cx nexcage-forker)" -gt 1 ]; do
  tries=$((tries - 1)); sleep 0.1
done
find run/nexcage run/lock/nexcage var/lib/nexcage var/log/nexcage \
  -path var/lib/nexcage/journal -prune -o -path 'var/lib/nexcage/images/*' -prune -o \
  -path 'var/lib/nexcage/uploads*' -prune -o -name 'journal-*' -prune -o -path 'run/nexcage/.crun/.cache' -prune -o \
  ! -path run/nexcage/.crun ! -path run/nexcage/.runc -print 2>/dev/null | sort
find sys/fs/cgroup -path '*nexcage/*' -type d | sort
grep -c . proc/mounts
processes=$(for comm in proc/[0-9]*/comm; do cat "$comm" 2>/dev/null; done)
echo "$processes" | grep -v -x -e catatonit -e sshd -e sh -e cat | sort
`;

function putImage(rootfs: string): void {
  for (const folder of ["bin", "dev", "etc", "proc", "sys", "tmp", "data"])
    mkdirSync(join(rootfs, folder), { recursive: true, mode: 0o755 });
  cpSync("/bin/busybox", join(rootfs, "bin/busybox"));
  for (const name of ["sh", "cat", "echo", "sleep", "ls", "id", "touch", "yes", "dd", "sync"])
    if (!existsSync(join(rootfs, "bin", name))) symlinkSync("busybox", join(rootfs, "bin", name));
}
