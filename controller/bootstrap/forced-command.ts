import { readFile } from "node:fs/promises";
import { NexcageError } from "../../shared/errors.ts";
import type { Host } from "../inventory/model.ts";

/**
 * The key in a public key's file: type, key, comment.
 * @throws {NexcageError} `INVALID_FILE`
 */
export async function readPublicKey(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw new NexcageError("INVALID_FILE", `${path} cannot be read: ${cause.message}`, { cause });
  });
  const [line = "", ...more] = text.trim().split("\n");
  if (more.length === 0 && /^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+=* ?[^\n]*$/.test(line)) return line;
  throw new NexcageError("INVALID_FILE", `${path} is not a public key`, {
    hint: "the file that ssh-keygen has made beside the key, with .pub at its end",
  });
}

/**
 * The line of authorized_keys with which a key talks to the agent and can do nothing else on its host (sshd(8),
 * "AUTHORIZED_KEYS FILE FORMAT"); one for all hosts where it is the same. Pure.
 */
export function forcedCommandLines(hosts: Host[], publicKey: string): { hosts: string[]; line: string }[] {
  const lines = new Map<string, string[]>();
  for (const { name, become, agentPath } of hosts) {
    const words = [...(become === "sudo" ? ["sudo", "-n", "--"] : []), agentPath, "serve", "--stdio"];
    const line = `restrict,command="${words.join(" ")}" ${publicKey}`;
    lines.set(line, [...(lines.get(line) ?? []), name]);
  }
  return [...lines].map(([line, hosts]) => ({ hosts, line }));
}
