import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeKeys, startEmbeddedSshd } from "./sshd.ts";

export type SimulatedHosts = AsyncDisposable & {
  dir: string;
  hosts: { name: string; address: string; port: number }[];
  agentPath: string;
};

/** Hosts for a machine that can make none: an SSH server on loopback each, and the simulated agent behind it. */
export async function startSimulatedHosts(names: string[]): Promise<SimulatedHosts> {
  await using undo = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), "nexcage-simulated-"));
  undo.defer(async () => {
    for (const name of names) await endContainers(join(dir, name, "containers"));
    await rm(dir, { recursive: true, force: true });
  });
  const clientKey = makeKeys();
  const hostKey = makeKeys();
  await writeFile(join(dir, "id_ed25519"), clientKey.private, { mode: 0o600 });
  const hosts: SimulatedHosts["hosts"] = [];
  for (const name of names) {
    const program = [process.execPath, join(import.meta.dirname, "agent.ts"), join(dir, name)];
    const { port } = undo.use(await startEmbeddedSshd({ hostKey, clientKey, program }));
    hosts.push({ name, address: "127.0.0.1", port });
  }
  const known = hosts.map(({ address, port }) => `[${address}]:${port} ${hostKey.public.trim()}\n`);
  await writeFile(join(dir, "known_hosts"), known.join(""));
  const everything = undo.move();
  return { dir, hosts, agentPath: "nexcage-agent", [Symbol.asyncDispose]: () => everything.disposeAsync() };
}

/** Containers outlive agents; here they must not outlive their host. */
async function endContainers(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((one) => one.endsWith(".json"))) {
    const { pid }: { pid?: number } = JSON.parse(await readFile(join(folder, name), "utf8"));
    try {
      if (pid !== undefined) process.kill(-pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}
