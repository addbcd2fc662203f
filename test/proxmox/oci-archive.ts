import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";

/**
 * An image of one layer, as `skopeo copy … oci-archive:FILE` makes it.
 * @param config what the image says of its containers: `Entrypoint`, `Env` and so on
 * @param archive the file to write
 */
export async function makeOciArchive({
  rootfs,
  config,
  archive,
}: {
  rootfs: string;
  config: object;
  archive: string;
}): Promise<void> {
  const layout = await mkdtemp("/var/tmp/nexcage-bed-oci-");
  const blobs = join(layout, "blobs/sha256");
  await mkdir(blobs, { recursive: true });
  const add = async (path: string): Promise<{ digest: string }> => {
    const sum = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
    await rename(path, join(blobs, sum));
    return { digest: `sha256:${sum}` };
  };
  const addJson = async (value: object): Promise<{ digest: string }> => {
    await writeFile(join(layout, "blob"), JSON.stringify(value));
    return await add(join(layout, "blob"));
  };
  const layer = join(layout, "layer");
  await execa("tar", ["--owner=0", "--group=0", "-cf", layer, "-C", rootfs, "."]);
  const layers = [await add(layer)];
  const manifest = { config: await addJson({ architecture: "amd64", os: "linux", config }), layers };
  const index = { schemaVersion: 2, manifests: [await addJson({ schemaVersion: 2, ...manifest })] };
  await writeFile(join(layout, "index.json"), JSON.stringify(index));
  await writeFile(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  await execa("tar", ["-cf", archive, "-C", layout, "."]);
  await rm(layout, { recursive: true });
}
