import { existsSync } from "node:fs";
import { join } from "node:path";
import { dist } from "../dist.ts";

/** The Debian packages with the programs that packages are built and looked at with. */
const needs = {
  "dpkg-deb": "dpkg",
  "apt-ftparchive": "apt-utils",
  gpg: "gpg",
  "gpg-agent": "gpg-agent",
  lintian: "lintian",
};

/** Why packages cannot be built here, which takes these programs; undefined where they can. */
export function whyNoPackages(...programs: (keyof typeof needs)[]): string | undefined {
  const missing = programs.filter((program) => !existsSync(`/usr/bin/${program}`));
  if (missing.length > 0) return `not installed: ${missing.map((program) => needs[program]).join(" ")}`;
  if (!existsSync(join(dist, "lib/nexcage/agents"))) return "dist/ was built without the native library";
  return undefined;
}
