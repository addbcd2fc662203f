import * as z from "zod";

/** What `install.sh` says of a host when it looks. */
export const HostFacts = z.object({
  user: z.string(),
  /** As `uname -m` has it. */
  architecture: z.string(),
  /** As in `glibc 2.36`. */
  libc: z.string(),
  /** A program that the installation needs and the host has not. */
  missing: z.string().optional(),
  /** In the file system of /opt/nexcage, in bytes. */
  free: z.coerce.number().int().nonnegative(),
  /** What is at `agent.path`: `none`, `ours`, `other`, or `package NAME`. */
  link: z.string(),
  current: z.string().optional(),
  previous: z.string().optional(),
  /** The builds that are there, with the sha256 of each one's Node. */
  builds: z.map(z.string(), z.string()),
});
export type HostFacts = z.infer<typeof HostFacts>;

/** Reads the lines that `look` answers. */
export function parseFacts(text: string): HostFacts {
  const facts: Record<string, unknown> = {};
  const builds = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, word = "", value = ""] = /^(\S+) (.*)$/.exec(line) ?? [];
    const [build = "", node = ""] = value.split(" ");
    if (word === "build") builds.set(build, node);
    else facts[word] = value;
  }
  return HostFacts.parse({ ...facts, builds });
}
