import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { dist } from "../dist.ts";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import { type Benchmark, interleave, within } from "./measure.ts";

const rounds = 5;

/**
 * What an agent costs on its way to three bare hosts: unpacked, checked, on disk, tried, switched to; against scp of
 * the same bytes, to the three at once as well. And how long the agent takes to say its version.
 */
export const bootstrap: Benchmark = {
  name: "bootstrap",
  obstacle: whyNoHosts,
  async run() {
    await using bed = await makeBed();
    await bed.writeInventory({}, { agent: { path: "/opt/nexcage/nexcage-agent" } });
    const builds = join(dist, "lib/nexcage/agents");
    const [platform = ""] = await readdir(builds);
    const parts = ["agent.deb", "node.deb"].map((file) => join(builds, platform, file));
    const { ours, peer } = await interleave(
      {
        ours: {
          run: async () => await must(bed, "bootstrap"),
          undo: async () => await must(bed, "unbootstrap", "--yes"),
        },
        peer: { run: async () => await copy(bed, parts) },
      },
      { rounds },
    );
    const program = [join(dist, "nexcage-agent"), "version"] as const;
    const empty = [join(dist, "lib/nexcage/node"), "-e", "0"] as const;
    const start = await interleave(
      {
        ours: { run: async () => await execa(program[0], program.slice(1)) },
        peer: { run: async () => await execa(empty[0], empty.slice(1)) },
      },
      { rounds: 15 },
    );
    return [
      within(
        { name: "bootstrap of 3 bare hosts, tried and switched to, against scp", ours, peer, unit: "ms" },
        3,
      ),
      within(
        { name: "nexcage-agent version, against an empty program of its Node", ...start, unit: "ms" },
        1.5,
      ),
    ];
  },
};

async function must(bed: Bed, command: string, ...args: string[]): Promise<void> {
  const { exitCode, stdout } = await bed.nexcage("fleet", command, ...args);
  if (exitCode !== 0) throw new Error(`fleet ${command} ended with ${exitCode}: ${stdout}`);
}

async function copy({ hosts }: Bed, files: string[]): Promise<void> {
  await Promise.all(
    hosts.hosts.map(({ name }) =>
      execa("scp", ["-q", "-F", join(hosts.dir, "ssh_config"), ...files, `${name}:/var/lib/nexcage/`]),
    ),
  );
}
