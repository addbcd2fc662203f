import type { Hello } from "../../shared/container.ts";
import { protocolVersion } from "../../shared/protocol.ts";
import { version } from "../../shared/version.ts";
import type { OpenFleet } from "../fleet.ts";
import type { Host } from "../inventory/model.ts";
import { errorText } from "./lines.ts";
import { textTable } from "./table.ts";

/** How an agent stands to this nexcage. `other build`: of the same version, and not what bootstrap would send. */
export type Skew = "same" | "other build" | "older" | "newer";

type AgentsOptions = {
  opened: Pick<OpenFleet, "agents" | "unreachable">;
  /** The builds that this nexcage would send. */
  own: string[];
};

/** Which agent each host has, for people. */
export function agentsText(hosts: Host[], { opened, own }: AgentsOptions): string {
  const rows = hosts.map(({ name }) => {
    const hello = opened.agents.get(name)?.hello;
    if (hello === undefined) return [name, "-", "-", "-", opened.unreachable.get(name)?.code ?? ""];
    const { agentVersion, build = "-", protocol } = hello;
    return [name, agentVersion, build, protocol, noteOf(skewOf(hello, own))];
  });
  const errors = [...opened.unreachable].map(
    ([host, error]) => `${host}: ${error.code}: ${errorText(error)}\n`,
  );
  return [textTable(["HOST", "VERSION", "BUILD", "PROTOCOL", "SKEW"], rows), ...errors].join("\n");
}

/** The same for programs. */
export function agentsJson(hosts: Host[], { opened, own }: AgentsOptions): unknown {
  return {
    nexcage: { version, protocol: protocolVersion, builds: own },
    hosts: hosts.flatMap(({ name }) => {
      const hello = opened.agents.get(name)?.hello;
      if (hello === undefined) return [];
      const { agentVersion, build, protocol, hostname, kernel, architecture } = hello;
      return [
        {
          host: name,
          version: agentVersion,
          build,
          protocol,
          skew: skewOf(hello, own),
          hostname,
          kernel,
          architecture,
        },
      ];
    }),
    unreachable: [...opened.unreachable].map(([host, error]) => ({ host, error })),
  };
}

/** Pure. */
export function skewOf({ agentVersion, build }: Pick<Hello, "agentVersion" | "build">, own: string[]): Skew {
  const order = compareVersions(agentVersion, version);
  if (order !== 0) return order < 0 ? "older" : "newer";
  const isOwn = own.length === 0 || (build !== undefined && own.includes(build));
  return isOwn ? "same" : "other build";
}

function noteOf(skew: Skew): string {
  return skew === "older" || skew === "other build" ? `${skew}: nexcage fleet bootstrap` : skew;
}

/** By major, minor and patch (semver.org, section 11); what comes after a hyphen is older than what has none. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)];
  for (const index of [0, 1, 2]) {
    const difference = (left.numbers[index] ?? 0) - (right.numbers[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return Number(left.isRelease) - Number(right.isRelease);
}

function parts(version: string): { numbers: number[]; isRelease: boolean } {
  const [core = "", ...pre] = version.split("-");
  return { numbers: core.split(".").map(Number), isRelease: pre.length === 0 };
}
