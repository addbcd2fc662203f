import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { NexcageError } from "../../../shared/errors.ts";
import type { ExecRequest, ExecSession } from "../backend.ts";
import { resolveUser } from "../users.ts";
import type { ProcessEnd } from "./exec-session.ts";
import type { ContainerRef, OciRuntime } from "./oci-runtime.ts";

/** Runs a command in a running container: its own environment, folder and user but for what is asked. */
export async function execIn(
  { ref, pid, bundle }: { ref: ContainerRef; pid: number; bundle: string },
  { command, environment, user, workingDir, tty }: ExecRequest,
  runtime: OciRuntime,
): Promise<ExecSession> {
  const own = await processOf(bundle);
  const as = user === undefined ? undefined : await resolveUser(user, `/proc/${pid}/root`);
  const session = await runtime.exec(ref, {
    process: {
      ...own,
      args: command,
      terminal: tty !== undefined,
      env: mergeEnvironment(own.env ?? [], { ...(as !== undefined && { HOME: as.home }), ...environment }),
      ...(as !== undefined && { user: { uid: as.uid, gid: as.gid, additionalGids: as.additionalGids } }),
      ...(workingDir !== undefined && { cwd: workingDir }),
    },
    terminal: tty,
  });
  return {
    pid: session.pid,
    stdin: session.stdin,
    stdout: session.stdout,
    stderr: session.stderr,
    exit: session.ended.then(exitOf),
    async resize(size) {
      await session.resize(size);
    },
    async [Symbol.asyncDispose]() {
      await session[Symbol.asyncDispose]();
    },
  };
}

const Config = z.object({ process: z.looseObject({ env: z.array(z.string()).optional() }) });

/** The container's own process: what is not asked for is as there, its capabilities and limits too. */
async function processOf(bundle: string): Promise<z.infer<typeof Config>["process"]> {
  return Config.parse(JSON.parse(await readFile(join(bundle, "config.json"), "utf8"))).process;
}

/** `NAME=value` lines, those of the same name replaced. Pure. */
export function mergeEnvironment(own: string[], wanted: Record<string, string>): string[] {
  const kept = own.filter((line) => !Object.hasOwn(wanted, line.split("=", 1)[0] ?? ""));
  return [...kept, ...Object.entries(wanted).map(([name, value]) => `${name}=${value}`)];
}

function exitOf(end: ProcessEnd): { exitCode?: number; signal?: number } {
  switch (end.kind) {
    case "exited":
      return { exitCode: end.exitCode };
    case "signalled":
      return { signal: end.signal };
    case "lost":
      throw new NexcageError("EXEC_FAILED", "who watched the process was killed: how it ended is not known");
    default:
      return end satisfies never;
  }
}
