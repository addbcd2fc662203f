import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import type { LockFile } from "../../agent/images/sessions.ts";

/** flock(2) by the program of that name: it locks the descriptor that it inherits, which stays open here. */
export const lockFile: LockFile = async (path, { wait, signal }) => {
  const file = await open(path, "a");
  const program = spawn("flock", ["--exclusive", ...(wait ? [] : ["--nonblock"]), "3"], {
    stdio: ["ignore", "ignore", "inherit", file.fd],
    signal,
  });
  const [exitCode] = await once(program, "exit");
  if (exitCode === 0) return { [Symbol.asyncDispose]: () => file.close() };
  await file.close();
  signal.throwIfAborted();
  return undefined;
};
