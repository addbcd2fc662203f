import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import { type Benchmark, fasterThan, median, timed } from "./measure.ts";

const megabytes = 60;
const rounds = 3;

/**
 * What an image costs on its way to three hosts, from the first that is sent to until the last has it. That is
 * more than sending: the agent checks it by sha256, unpacks it and has it on disk.
 */
export const upload: Benchmark = {
  name: "upload",
  obstacle: whyNoHosts,
  async run() {
    await using bed = await makeBed();
    const tar = join(bed.folder, "rootfs.tar");
    await bed.writeFleet({ app: { rootfs: "./rootfs.tar", command: ["sleep", "100000"], mode: "global" } });
    const ours: number[] = [];
    const peer: number[] = [];
    for (let round = -1; round < rounds; round++) {
      await makeTar(bed, tar);
      await execa("sync"); // what is written for one is not the other's to wait for
      const sent = await sendByApply(bed);
      await execa("sync");
      const copied = await timed(() => copy(bed, tar));
      if (round < 0) continue; // the first warms up
      ours.push(sent);
      peer.push(copied);
    }
    const name = `upload of a rootfs of ${megabytes} MB to 3 hosts, checked and unpacked, against scp`;
    return [fasterThan({ name, ours: median(ours), peer: median(peer), unit: "ms" }, 1)];
  },
};

/** As the user sees it: from the first line that says `sending` to the last that says `sent`. */
async function sendByApply(bed: Bed): Promise<number> {
  const running = bed.start(["fleet", "apply", "--yes"]);
  let startedMs: number | undefined;
  let endedMs: number | undefined;
  let hosts = 0;
  for await (const line of running.iterable({ from: "stderr" })) {
    if (/: sending /.test(line)) startedMs ??= performance.now();
    if (!/: sent /.test(line)) continue;
    endedMs = performance.now();
    hosts += 1;
  }
  const { exitCode } = await running;
  if (exitCode !== 0 || hosts !== 3 || startedMs === undefined || endedMs === undefined)
    throw new Error(`fleet apply ended with ${exitCode} and sent to ${hosts} hosts`);
  return endedMs - startedMs;
}

/** The bed's small root file system, and a file that no round before had and that does not compress. */
async function makeTar({ folder }: Bed, tar: string): Promise<void> {
  const content = join(folder, "rootfs/content");
  await writeFile(content, randomBytes(megabytes * 1_000_000));
  await execa("tar", ["--create", "--file", tar, "--directory", join(folder, "rootfs"), "."]);
  await rm(content);
}

async function copy({ hosts }: Bed, tar: string): Promise<void> {
  for (const { name } of hosts.hosts)
    await execa("scp", ["-q", "-F", join(hosts.dir, "ssh_config"), tar, `${name}:/var/lib/nexcage/scp.tar`]);
}
