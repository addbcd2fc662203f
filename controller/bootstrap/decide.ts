import { NexcageError } from "../../shared/errors.ts";
import { formatSize } from "../../shared/units.ts";
import type { AgentBuild } from "./agent-build.ts";
import type { HostFacts } from "./facts.ts";

/** What a host needs to get a build. */
export type Need =
  | { kind: "nothing" }
  /** It is there whole, from an earlier try or an earlier version. */
  | { kind: "switch" }
  /** `nodeFrom`: the build there that has the same Node. */
  | { kind: "send"; nodeFrom: string | undefined; bytes: number };

const platforms: Record<string, string> = { x86_64: "linux-x64", aarch64: "linux-arm64" };

/** What is sent is there once more as files, which are three times as large, and the old agent stays. */
const unpackedFactor = 5;

/**
 * The build that runs on a host. Pure.
 * @throws {NexcageError} `PLATFORM_UNSUPPORTED`
 */
export function chooseBuild(host: string, facts: HostFacts, builds: AgentBuild[]): AgentBuild {
  const { architecture, libc, missing } = facts;
  const refuse = (why: string, hint: string): NexcageError =>
    new NexcageError("PLATFORM_UNSUPPORTED", `${host}: ${why}`, { hint });
  const build = builds.find(({ platform }) => platform === platforms[architecture]);
  const known = builds.map(({ platform }) => platform).join(", ");
  if (build === undefined)
    throw refuse(
      `there is no build of the agent for ${architecture}, only for ${known}`,
      "name a folder with one: --agent DIR",
    );
  const [, major = "0", minor = "0"] = /^glibc (\d+)\.(\d+)/.exec(libc) ?? [];
  const [wantedMajor = 0, wantedMinor = 0] = build.glibc.split(".").map(Number);
  if (Number(major) < wantedMajor || (Number(major) === wantedMajor && Number(minor) < wantedMinor))
    throw refuse(
      `the agent needs glibc ${build.glibc} or newer, and it has ${libc}`,
      "Debian 12 and Proxmox VE 8 are the oldest that do",
    );
  if (missing !== undefined)
    throw refuse(`it has no ${missing}, which unpacks the agent`, "is it a Debian or a Proxmox VE?");
  return build;
}

/**
 * What is to be sent to a host, if anything. Pure.
 * @param whole which builds were found as they were sent
 * @throws {NexcageError} `REFUSED` where the place is somebody else's, `DISK_FULL`
 */
export function decideNeed(
  host: string,
  facts: HostFacts,
  { build, whole, agentPath }: { build: AgentBuild; whole: ReadonlySet<string>; agentPath: string },
): Need {
  requireOwnLink(host, facts, agentPath);
  if (whole.has(build.build))
    return facts.current === build.build && facts.link === "ours" ? { kind: "nothing" } : { kind: "switch" };
  const nodeFrom = [...facts.builds].find(
    ([name, node]) => node === build.nodeSha256 && whole.has(name),
  )?.[0];
  const bytes = build.agent.bytes + (nodeFrom === undefined ? build.node.bytes : 0);
  if (facts.free < bytes * unpackedFactor)
    throw new NexcageError(
      "DISK_FULL",
      `${host} has ${formatSize(facts.free)} left in /opt, and the agent needs ${formatSize(bytes * unpackedFactor)}`,
      { hint: "make space there: df -h /opt" },
    );
  return { kind: "send", nodeFrom, bytes };
}

function requireOwnLink(host: string, { link }: HostFacts, agentPath: string): void {
  if (link === "ours" || link === "none") return;
  const elsewhere = "say agent: {path: /opt/nexcage/nexcage-agent} in the inventory";
  const [kind, name] = link.split(" ");
  if (kind === "package")
    throw new NexcageError("REFUSED", `${agentPath} on ${host} is of its Debian package ${name}`, {
      hint: `upgrade that there: apt-get install --only-upgrade ${name}; or ${elsewhere}`,
    });
  throw new NexcageError("REFUSED", `${agentPath} on ${host} was not put there by fleet bootstrap`, {
    hint: `move it away; or ${elsewhere}`,
  });
}
