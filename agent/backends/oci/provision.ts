import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { NexcageError } from "../../../shared/errors.ts";
import type { ContainerSpec } from "../../../shared/spec.ts";
import type { ImageStore } from "../../images/store.ts";
import type { Log } from "../../log.ts";
import type { Paths } from "../../paths.ts";
import { type Accounts, readAccounts } from "../users.ts";
import { bundleConfig } from "./bundle.ts";
import type { OciConfig } from "./config.ts";
import type { OciRuntime } from "./oci-runtime.ts";
import { imageConfig } from "./prepare.ts";
import { hasOverlay, makeRootfs, type Rootfs, rootfsIn } from "./rootfs.ts";

type ProvisionOptions = {
  paths: Paths;
  images: () => Promise<ImageStore>;
  canOverlay: (bundle: string) => Promise<boolean>;
  signal: AbortSignal;
};

/**
 * Writes a container's config.json, and gives one of an image its files where it has none; undefined for
 * one that runs on its bundle's own root.
 */
export async function provision(
  spec: ContainerSpec,
  config: OciConfig,
  { paths, images, canOverlay, signal }: ProvisionOptions,
): Promise<Rootfs | undefined> {
  const bundle = paths.bundle(spec.id);
  let rootfs: Rootfs | undefined;
  mkdirSync(bundle, { recursive: true, mode: 0o700 });
  if (spec.source.kind === "image") {
    const store = await images();
    const image = await store.rootfs(spec.source.digest);
    const had = hasOverlay(bundle);
    rootfs = rootfsIn(bundle, image, { overlay: had ?? (await canOverlay(bundle)) });
    if (had === undefined) await makeRootfs(image, rootfs, { signal });
  }
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config), { mode: 0o600 });
  return rootfs;
}

/** A container's configuration, as the specification has it: of its bundle, or made for its image. */
export async function configOf(
  spec: ContainerSpec,
  {
    paths,
    images,
    accountsOf,
  }: Pick<ProvisionOptions, "paths" | "images"> & {
    accountsOf: (imagePath: string) => Promise<Accounts>;
  },
): Promise<OciConfig> {
  const cgroupsPath = paths.cgroup(spec.id);
  if (spec.source.kind === "bundle")
    return await bundleConfig(spec, { bundle: spec.source.path, cgroupsPath });
  if (spec.source.kind === "template")
    throw new NexcageError("SPEC_REFUSED", `template: ${spec.source.volume} needs runtime: lxc`, {
      hint: `for ${spec.runtime} name a rootfs or a bundle`,
    });
  const store = await images();
  const imagePath = await store.rootfs(spec.source.digest);
  return await imageConfig(spec, {
    rootfsPath: join(paths.bundle(spec.id), "rootfs"),
    imagePath,
    cgroupsPath,
    accountsOf,
  });
}

/** Reads the accounts of each image once: it is kept by its digest, and does not change. */
export function accountsReader(): (imagePath: string) => Promise<Accounts> {
  const known = new Map<string, Promise<Accounts>>();
  return (imagePath) => {
    const accounts = known.get(imagePath) ?? readAccounts(imagePath);
    known.set(imagePath, accounts);
    accounts.catch(() => known.delete(imagePath));
    return accounts;
  };
}

/**
 * Tells whether overlays work here. It is tried once, in a container's own folder: who is killed meanwhile
 * leaves nothing that does not go with that.
 */
export function overlayTrial(options: {
  runtime: () => Promise<OciRuntime>;
  log: Log;
}): (bundle: string) => Promise<boolean> {
  let trial: Promise<boolean> | undefined;
  async function tryIn(bundle: string): Promise<boolean> {
    const runtime = await options.runtime();
    const isPossible = await runtime.canOverlay(bundle);
    if (!isPossible) options.log.warn({}, "no overlays here: each container gets a copy of its image");
    return isPossible;
  }
  return (bundle) => {
    trial ??= tryIn(bundle).catch((error: unknown) => {
      trial = undefined; // a full disk is no answer
      throw error;
    });
    return trial;
  };
}
