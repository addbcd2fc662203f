import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { NexcageError } from "../../../shared/errors.ts";
import { readText } from "../../state/files.ts";
import type { ExecRequest, ExecSession } from "../backend.ts";
import { resolveUser } from "../users.ts";
import { guardProcess } from "./guard.ts";
import { openTerminal, type TerminalSize } from "./terminal.ts";

/** lxc-attach's own words for a program that cannot be run. */
const cannotRun = /lxc_attach_run_command: \d+ (.*) - Failed to exec/;

/**
 * Runs a command in a running guest by lxc-attach, which is our own child: pct would start Perl first, and pass
 * the agent's whole environment in. With a terminal lxc-attach makes one inside, and passes on between the two.
 * The command and what it has started end with the session, and with this program.
 * @throws {NexcageError} `SPEC_REFUSED` for an unknown user, `EXEC_FAILED`
 */
export async function execInGuest(
  vmid: number,
  init: number,
  { command, environment, user, workingDir, tty }: ExecRequest,
): Promise<ExecSession> {
  const as = await resolveUser(user, `/proc/${init}/root`);
  const variables = {
    HOME: as.home,
    PATH: defaultPath,
    ...(tty !== undefined && { TERM: "xterm" }),
    ...ownEnvironment(init),
    ...environment,
  };
  const words = [
    ...["--name", String(vmid), "--clear-env"],
    ...Object.entries(variables).map(([name, value]) => `--set-var=${name}=${value}`),
    ...[`--uid=${as.uid}`, `--gid=${as.gid}`],
    "--",
    ...(workingDir === undefined ? command : inFolder(workingDir, command)),
  ];
  const attached = tty === undefined ? attach(words) : await attachTerminal(words, tty);
  const { child, stdin, stdout, stderr } = attached;
  const said = keepHead(stderr ?? stdout);
  const exited = Promise.withResolvers<{ exitCode: number } | { signal: number }>();
  child.once("exit", (code, signal) =>
    exited.resolve(signal === null ? { exitCode: code ?? 0 } : { signal: constants.signals[signal] }),
  );
  await once(child, "spawn").catch((cause: unknown) => {
    throw new NexcageError("EXEC_FAILED", "lxc-attach cannot be run", { hint: "apt install lxc", cause });
  });
  const { pid = 0 } = child;
  const guard = guardProcess(pid, { terminal: attached.terminal });
  child.once("exit", guard.release); // another process may have its pid soon
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
    resize: attached.resize,
    async [Symbol.asyncDispose]() {
      await guard[Symbol.asyncDispose]();
      attached.close();
    },
  };
}

/** lxc-attach, and the three streams that are the command's; `stderr` is undefined with a terminal. */
type Attached = Pick<ExecSession, "stdin" | "stdout" | "stderr" | "resize"> & {
  child: ChildProcess;
  terminal?: number;
  close(): void;
};

function attach(words: string[]): Attached {
  const child = spawn("lxc-attach", words, { stdio: "pipe", cwd: "/" });
  const { stdin, stdout, stderr } = child;
  stdin.on("error", () => {}); // it reads no more
  const close = (): void => {
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
  };
  return { child, stdin, stdout, stderr, resize: async () => {}, close };
}

async function attachTerminal(words: string[], size: TerminalSize): Promise<Attached> {
  const terminal = await openTerminal(size);
  const { controller, device, input, output } = terminal;
  // setsid becomes lxc-attach. With the terminal as its own it hears of a new size.
  const child = spawn("setsid", ["--ctty", "lxc-attach", ...words], {
    stdio: [device, device, device],
    cwd: "/",
  });
  terminal.closeDevice();
  return {
    child,
    terminal: controller,
    stdin: input,
    stdout: output,
    stderr: undefined,
    resize: (to) => terminal.resize(to),
    close: () => terminal[Symbol.dispose](),
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

/** The first words on a stream that others read too. */
function keepHead(stream: NodeJS.ReadableStream): () => string {
  let head = "";
  stream.on("data", (chunk: Buffer) => {
    if (head.length < 1024) head += chunk.toString();
  });
  return () => head;
}
