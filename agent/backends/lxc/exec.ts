import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { NexcageError } from "../../../shared/errors.ts";
import { readText } from "../../state/files.ts";
import type { ExecRequest, ExecSession } from "../backend.ts";
import { resolveUser } from "../users.ts";

/** lxc-attach's own words for a program that cannot be run. */
const cannotRun = /lxc_attach_run_command: \d+ (.*) - Failed to exec/;

/**
 * Runs a command in a running guest by lxc-attach, which is our own child: pct would start Perl first, and pass
 * the agent's whole environment in. The command ends with the session, which a killed lxc-attach alone would not
 * see to.
 * @throws {NexcageError} `SPEC_REFUSED` for a terminal, `EXEC_FAILED`
 */
export async function execInGuest(
  vmid: number,
  init: number,
  { command, environment, user, workingDir, tty }: ExecRequest,
): Promise<ExecSession> {
  if (tty !== undefined)
    throw new NexcageError("SPEC_REFUSED", "exec has no terminal on lxc in this version", {
      hint: `leave out --tty; by hand on the host: pct enter ${vmid}`,
    });
  const as = await resolveUser(user, `/proc/${init}/root`);
  const variables = { HOME: as.home, PATH: defaultPath, ...ownEnvironment(init), ...environment };
  const words = [
    ...["--name", String(vmid), "--clear-env"],
    ...Object.entries(variables).map(([name, value]) => `--set-var=${name}=${value}`),
    ...[`--uid=${as.uid}`, `--gid=${as.gid}`],
    "--",
    ...(workingDir === undefined ? command : inFolder(workingDir, command)),
  ];
  const child = spawn("lxc-attach", words, { stdio: "pipe", cwd: "/" });
  await once(child, "spawn").catch((cause: unknown) => {
    throw new NexcageError("EXEC_FAILED", "lxc-attach cannot be run", { hint: "apt install lxc", cause });
  });
  const { stdin, stdout, stderr, pid = 0 } = child;
  stdin.on("error", () => {}); // it reads no more
  const said = keepHead(stderr);
  const exited = Promise.withResolvers<{ exitCode: number } | { signal: number }>();
  child.once("exit", (code, signal) =>
    exited.resolve(signal === null ? { exitCode: code ?? 0 } : { signal: constants.signals[signal] }),
  );
  const ended = exited.promise.then((end) => {
    const code = "exitCode" in end ? end.exitCode : 0;
    const reason = code === 126 || code === 127 ? cannotRun.exec(said())?.[1] : undefined;
    if (reason === undefined) return end;
    throw new NexcageError("EXEC_FAILED", `${JSON.stringify(command[0])}: ${reason}`, {
      details: { exitCode: code },
    });
  });
  ended.catch(() => {}); // who asks is told
  return {
    pid,
    stdin,
    stdout,
    stderr,
    exit: ended,
    resize: async () => {},
    async [Symbol.asyncDispose]() {
      // First what runs inside: it is a child of lxc-attach, and outlives it.
      for (const inside of childrenOf(pid)) kill(inside);
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      for (const stream of [stdin, stdout, stderr]) stream.destroy();
    },
  };
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What the guest's own program was started with. */
function ownEnvironment(init: number): Record<string, string> {
  const lines = (readText(`/proc/${init}/environ`) ?? "").split("\0").filter((line) => line.includes("="));
  return Object.fromEntries(
    lines.map((line): [string, string] => [
      line.slice(0, line.indexOf("=")),
      line.slice(line.indexOf("=") + 1),
    ]),
  );
}

/** lxc-attach has no option for it. The words are arguments, so no shell ever reads them. */
function inFolder(folder: string, command: string[]): string[] {
  return ["/bin/sh", "-c", 'cd -- "$1" && shift && exec "$@"', "sh", folder, ...command];
}

function childrenOf(pid: number): number[] {
  const children = (readText(`/proc/${pid}/task/${pid}/children`) ?? "")
    .split(" ")
    .filter(Boolean)
    .map(Number);
  return children.flatMap((child) => [child, ...childrenOf(child)]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** The first words on a stream that others read too. */
function keepHead(stream: NodeJS.ReadableStream): () => string {
  let head = "";
  stream.on("data", (chunk: Buffer) => {
    if (head.length < 1024) head += chunk.toString();
  });
  return () => head;
}
