import { join } from "node:path";
import { execa } from "execa";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { guest } from "../lxc/bed.ts";
import { turnKnobs, whyNoProxmox } from "../proxmox/nodes.ts";
import { type Benchmark, fasterThan, median, type Row, timed } from "./measure.ts";
import { must } from "./workstation.ts";

const count = 100;
/** The loop is as slow for each, so that a few of them tell. */
const asked = 10;
const ids = Array.from({ length: count }, (_, index) => `app-${index + 1}`);

/** A node full of Proxmox's containers: looked at by reading its files, against asking `pct` about each. */
export const proxmox: Benchmark = {
  name: "proxmox",
  obstacle: whyNoProxmox,
  async run() {
    await using bed = await makeBed(["pve1"], { proxmox: true });
    const app = guest({ stop_grace_period: "0s", proxmox: { rootfs_size: "16m" } });
    await bed.writeFleet(Object.fromEntries(ids.map((id) => [id, app])));
    await must(bed, "fleet", "apply");
    return [...(await measure(bed, { delayMs: 1_000 })), ...(await measure(bed, { delayMs: 0 }))];
  },
};

/** @param delayMs what each `pct` takes before it does anything: a real one compiles Perl for about a second */
async function measure(bed: Bed, { delayMs }: { delayMs: number }): Promise<Row[]> {
  await turnKnobs(bed.host("pve1"), { delayMs });
  const when =
    delayMs === 0 ? "with a pct that starts at once" : `with a pct that takes ${delayMs / 1_000} s`;
  const state = { ours: ["fleet", "state", "*"], verbs: ["status"] };
  const apply = { ours: ["fleet", "apply"], verbs: ["status", "config"] };
  const rows: Row[] = [];
  for (const [what, { ours, verbs }] of Object.entries({ state, "no-op apply": apply })) {
    const times: { ours: number; peer: number }[] = [];
    for (let round = 0; round < 3; round++)
      times.push({
        ours: await timed(() => must(bed, ...ours)),
        peer: ((await timed(() => askPct(bed, verbs))) * count) / asked,
      });
    rows.push(
      fasterThan(
        {
          name: `${what} of ${count} containers, against ssh HOST pct ${verbs.join("/")} ID (${asked} asked) ${when}`,
          ours: median(times.map((one) => one.ours)),
          peer: median(times.map((one) => one.peer)),
          unit: "ms",
        },
        20,
      ),
    );
  }
  return rows;
}

async function askPct({ hosts }: Bed, verbs: string[]): Promise<void> {
  const script = `config=$1; shift
for id in $(ssh -F "$config" pve1 ls /etc/pve/lxc | head -n ${asked}); do
  for verb in "$@"; do ssh -F "$config" pve1 pct "$verb" "\${id%.conf}" || exit; done
done`;
  await execa("sh", ["-c", script, "sh", join(hosts.dir, "ssh_config"), ...verbs]);
}
