import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { execa } from "execa";
import { stringify } from "yaml";
import { makeKeys, startEmbeddedSshd } from "../test/simulated/sshd.ts";

/** What is asked of an agent by hand, and starts no container. */
const byHand = ["list", "doctor", "features"];

/**
 * Keeps the compiled code of both bundles in `LIB/NAME.cache`: that of one `fleet apply` over SSH, to an agent
 * in a temporary folder, where nothing is made, and of what an agent is asked by hand. Where that cannot be run, the
 * programs start more slowly.
 */
export async function warmUp(lib: string, { isSealed }: { isSealed: boolean }): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "nexcage-warm-up-"));
  try {
    const warm = join(folder, "warm.cjs");
    await build({
      entryPoints: [join(import.meta.dirname, "warm.ts")],
      outfile: warm,
      bundle: true,
      platform: "node",
      target: "node24",
      format: "cjs",
    });
    const run = (name: string): string[] => [
      join(lib, "node"),
      // Without these each run would hash and collect its own way, and no two compiled files would be nearly the same.
      "--random-seed=1",
      "--min-semi-space-size=64",
      "--max-semi-space-size=128",
      warm,
      join(lib, `${name}.js`),
      join(lib, `${name}.cache`),
    ];
    const launcher = isSealed ? [join(lib, "nexcage-launch")] : [];
    const keys = { host: makeKeys(), client: makeKeys() };
    await using sshd = await startEmbeddedSshd({
      hostKey: keys.host,
      clientKey: keys.client,
      program: [...launcher, ...run("nexcage-agent"), "serve", "--stdio", "--root", join(folder, "agent")],
    });
    writeFileSync(join(folder, "key"), keys.client.private, { mode: 0o600 });
    writeFileSync(join(folder, "known_hosts"), `[127.0.0.1]:${sshd.port} ${keys.host.public}\n`);
    writeFleet(folder, sshd.port);
    const [node = "", ...args] = [...run("nexcage"), "fleet", "apply"];
    await execa(node, args, {
      cwd: folder,
      env: { HOME: folder, XDG_CACHE_HOME: folder },
      extendEnv: false,
      timeout: 60_000,
      reject: false, // the container's bundle is missing, and so it is not made
    });
    for (const command of byHand) {
      const [program = "", ...words] = [...launcher, ...run("nexcage-agent"), command];
      await execa(program, [...words, "--root", join(folder, "agent")], { timeout: 60_000, reject: false });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function writeFleet(folder: string, port: number): void {
  const ssh = { port, user: "root", identity_file: "./key", known_hosts: "./known_hosts" };
  const inventory = {
    apiVersion: "nexcage/v1",
    kind: "Inventory",
    hosts: { here: { address: "127.0.0.1", ssh } },
  };
  const fleet = {
    apiVersion: "nexcage/v1",
    kind: "Fleet",
    name: "warm-up",
    containers: { web: { bundle: join(folder, "missing") } },
  };
  writeFileSync(join(folder, "inventory.yaml"), stringify(inventory));
  writeFileSync(join(folder, "fleet.yaml"), stringify(fleet));
}
