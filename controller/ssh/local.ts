import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import type { AgentChannel } from "../session.ts";

/** Starts a program on this machine, with a session of its own: a Ctrl-C is the controller's to pass on. */
export async function startLocally(
  words: string[],
  { host, signal }: { host: string; signal: AbortSignal },
): Promise<AgentChannel> {
  signal.throwIfAborted();
  const [program = "", ...args] = words;
  const child = spawn(program, args, { stdio: "pipe", detached: true });
  const exited = Promise.withResolvers<Awaited<AgentChannel["exited"]>>();
  const started = Promise.withResolvers<void>();
  child.once("spawn", started.resolve);
  child.on("error", (cause) => {
    const error = new NexcageError("AGENT_MISSING", `${host} has no program ${program}: ${cause.message}`, {
      hint: `nexcage fleet bootstrap --limit ${host}; or say where it is: agent: {path: …} in the inventory`,
      cause,
    });
    started.reject(error);
    exited.resolve({ error });
  });
  child.once("close", (code, name) =>
    exited.resolve(name === null ? { code: code ?? undefined } : { signal: name }),
  );
  await started.promise;
  const { stdin, stdout, stderr } = child;
  stdin.on("error", () => {}); // it reads no more, and how it ended is told by `exited`
  return {
    stdin,
    stdout,
    stderr,
    exited: exited.promise,
    destroy() {
      // As on a remote host: the end of its stdin ends the agent, once what is in flight is safe.
      for (const stream of [stdin, stdout, stderr]) stream.destroy();
      child.unref();
    },
  };
}

/** @returns false where this user may not write there */
export async function copyLocally(
  localPath: string,
  targetPath: string,
  { signal, onProgress }: { signal: AbortSignal; onProgress?: ((sentBytes: number) => void) | undefined },
): Promise<boolean> {
  let target: FileHandle;
  try {
    target = await open(targetPath, "w");
  } catch (error) {
    if (!hasCode(error, "EACCES", "EPERM", "ENOENT", "EROFS")) throw error;
    return false;
  }
  let sentBytes = 0;
  const source = createReadStream(localPath);
  source.on("data", (chunk) => {
    sentBytes += chunk.length;
    onProgress?.(sentBytes);
  });
  await pipeline(source, target.createWriteStream(), { signal });
  return true;
}
