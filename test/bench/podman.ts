import { image } from "../clients/image.ts";
import { setUpPodman } from "../clients/podman.ts";
import { whyNoClients } from "../clients/requirements.ts";
import { reference, underTest } from "../clients/runtimes.ts";
import { startHosts, type TestHost } from "../hosts/hosts.ts";
import { type Benchmark, interleave, within } from "./measure.ts";

/** What a user of podman sees of the runtime below it; `packaging/setup --clients` installs podman. */
export const podman: Benchmark = {
  name: "podman",
  obstacle: whyNoClients,
  async run() {
    await using hosts = await startHosts({ names: ["ours", "peer"] });
    for (const [name, runtime] of [["ours", underTest] as const, ["peer", reference] as const]) {
      const client = await setUpPodman(hosts.host(name), runtime);
      await client.boot();
    }
    const run = (host: TestHost) => ({ run: () => runOnce(host) });
    const { ours, peer } = await interleave(
      { ours: run(hosts.host("ours")), peer: run(hosts.host("peer")) },
      { rounds: 11 },
    );
    return [
      within({ name: "podman run --rm IMAGE true, against the same with crun", ours, peer, unit: "ms" }, 1.1),
    ];
  },
};

async function runOnce(host: TestHost): Promise<void> {
  const { exitCode, stderr } = await host.exec(["podman", "run", "--rm", image, "true"], {
    env: { TMPDIR: `${host.dir}/tmp` },
  });
  if (exitCode !== 0) throw new Error(`podman run ended with ${exitCode}: ${stderr}`);
}
