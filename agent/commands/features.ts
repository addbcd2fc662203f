import type { Features } from "../../shared/container.ts";
import { command, printJson } from "./command.ts";
import { openAgent } from "./open.ts";

export const features = command({
  command: "features",
  describe: "Print what this host can run, and what not and why, as JSON",
  builder: (yargs) =>
    yargs.epilogue("Among it what OCI clients read: the runtime specification's features of libcrun."),
  async handler(globals) {
    await using opened = await openAgent(globals);
    printJson(withOciFeatures(await opened.runtime.features()));
  },
});

/** OCI clients look for them on top (runtime specification, features.md). */
function withOciFeatures({ backends, ...host }: Features) {
  const { oci } = backends.find(({ name }) => name === "crun") ?? {};
  return { ...oci, ...host, backends: backends.map(({ oci: _, ...backend }) => backend) };
}
