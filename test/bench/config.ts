import type { OciConfig } from "../../agent/backends/oci/config.ts";
import { imageConfig } from "../../agent/backends/oci/prepare.ts";
import { ContainerSpec } from "../../shared/spec.ts";

/** What the agent makes for a container whose YAML says its command alone. */
export async function makeDefaultConfig({
  id,
  command,
  rootfsPath,
  cgroupsPath,
}: {
  id: string;
  command: string[];
  rootfsPath: string;
  cgroupsPath: string;
}): Promise<OciConfig> {
  const source = { kind: "image", digest: `sha256:${"0".repeat(64)}` };
  const spec = ContainerSpec.parse({ id, runtime: "crun", source, command });
  return await imageConfig(spec, { rootfsPath, imagePath: rootfsPath, cgroupsPath });
}
