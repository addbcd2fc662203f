import { execa } from "execa";

/**
 * A folder as NAME.tar.zst. The same files always make the same archive: sorted, of root, of one date, and with no
 * modes but those of programs and of other files.
 */
export async function archive(
  target: string,
  { folder, name, epoch, level }: { folder: string; name: string; epoch: number; level: number },
): Promise<void> {
  const tar = [
    "--create",
    "--format=gnu",
    "--sort=name",
    "--hard-dereference",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=u=rwX,go=rX",
    `--mtime=@${epoch}`,
    `--directory=${folder}`,
    name,
  ];
  // With -T the parts that threads compress do not depend on how many threads there are.
  const zstd = ["-q", `-${level}`, "-T0", "-f", "-o", target];
  await execa("tar", tar, { encoding: "buffer", maxBuffer: Number.POSITIVE_INFINITY, buffer: false }).pipe(
    "zstd",
    zstd,
  );
}
