import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import { type Benchmark, fasterThan, median, timed } from "./measure.ts";
import { must } from "./workstation.ts";

const megabytes = 60;
const rounds = 5;

/**
 * What an image costs on its way: an apply that brings one to three hosts, less the same apply where they have
 * it. That is more than sending: the agent checks it by sha256, unpacks it and has it on disk.
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
      await must(bed, "fleet", "plan"); // reads the file, which is no part of sending it
      const sends = await timed(() => must(bed, "fleet", "apply"));
      await must(bed, "fleet", "delete", "*", "--yes");
      const sendsNothing = await timed(() => must(bed, "fleet", "apply"));
      await must(bed, "fleet", "delete", "*", "--yes");
      const copies = await timed(() => copy(bed, tar));
      if (round < 0) continue; // the first warms up
      ours.push(sends - sendsNothing);
      peer.push(copies);
    }
    const name = `upload of a rootfs of ${megabytes} MB to 3 hosts, checked and unpacked, against scp`;
    return [fasterThan({ name, ours: median(ours), peer: median(peer), unit: "ms" }, 1)];
  },
};

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
