import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeBed } from "../e2e/bed.ts";
import { makeRootfs } from "../e2e/rootfs.ts";
import { type TestHost, whyNoHosts } from "../hosts/hosts.ts";
import { makeDefaultConfig } from "./config.ts";
import { type Benchmark, fasterThan, interleave } from "./measure.ts";
import { must } from "./workstation.ts";

const count = 100;
const command = ["/bin/sleep", "100000"];

/** A host that is filled by one command: over SSH, with journal and monitors, against a loop on the host itself. */
export const create: Benchmark = {
  name: "create",
  obstacle: whyNoHosts,
  async run() {
    await using bed = await makeBed(["node1"]);
    const host = bed.host("node1");
    const app = { command, host: "node1", stop_grace_period: "0s" };
    // The other one keeps the root file system there, as the peer's is.
    await bed.writeFleet({ other: app });
    await must(bed, "fleet", "apply");
    await bed.writeFleet({ other: app, app: { ...app, replicas: count } });
    const bundles = await makeBundles(host);
    const { ours, peer } = await interleave(
      {
        ours: {
          run: () => must(bed, "fleet", "apply"),
          undo: () => must(bed, "fleet", "delete", "app-*", "--yes"),
        },
        peer: {
          run: () => loop(host, `crun run --detach --bundle ${bundles}/app-$i`),
          undo: () => loop(host, "crun delete --force"),
        },
      },
      { rounds: 3 },
    );
    const name = `${count} containers created and started by one apply, against a loop of crun run -d (default config)`;
    return [fasterThan({ name, ours, peer, unit: "ms" }, 1.5)];
  },
};

/** A folder with a bundle for each: the agent's own configuration, and one root file system for all. */
async function makeBundles(host: TestHost): Promise<string> {
  const bundles = join(host.dir, "bundles");
  const rootfsPath = join(bundles, "rootfs");
  await makeRootfs(rootfsPath);
  for (let number = 1; number <= count; number++) {
    const id = `app-${number}`;
    const config = await makeDefaultConfig({ id, command, rootfsPath, cgroupsPath: `/peer/${id}` });
    await mkdir(join(bundles, id));
    await writeFile(join(bundles, id, "config.json"), JSON.stringify(config));
  }
  return bundles;
}

async function loop(host: TestHost, crun: string): Promise<void> {
  // The containers keep what the loop has open, so it has nothing that somebody waits for.
  const script = `for i in $(seq ${count}); do
  ${crun} app-$i </dev/null >/tmp/crun.$$ 2>&1 || { cat /tmp/crun.$$; exit 1; }
done; rm /tmp/crun.$$`;
  const { exitCode, stdout } = await host.exec(["sh", "-c", script], { timeoutMs: 300_000 });
  if (exitCode !== 0) throw new Error(`${crun} failed: ${stdout}`);
}
