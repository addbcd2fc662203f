import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Observed } from "../../shared/container.ts";
import { dist } from "../dist.ts";
import type { TestHost } from "../hosts/hosts.ts";
import { type Client, hello, openClient } from "./client.ts";

/** What a session was told that only looks, and which program has told it. */
export type Look = { containers: Observed[]; by: "native" | "Node" };

/** What somebody does on a host, in words of a shell, and what a look then sees. */
export type HostChange = { title: string; change: string; sees: (seen: Look) => unknown };

const agent = join(dist, "nexcage-agent");

/** Over a real sshd. */
function openOn(host: TestHost, ...command: string[]): Client {
  return openClient("ssh", ["-F", join(host.dir, "../../ssh_config"), host.name, ...command]);
}

export async function look(host: TestHost, ...options: string[]): Promise<Look> {
  const client = openOn(host, agent, "serve", "--stdio", ...options);
  await client.ask("hello", hello);
  const { containers } = (await client.ask("container/list")) as { containers: Observed[] };
  const { stdout } = await host.exec(["pgrep", "-f", "nexcage-agent --min-semi-space-size.* serve"]);
  await client.close();
  return { containers, by: stdout === "" ? "native" : "Node" };
}

/** What Node sees, which answers where there is any other option, and keeps nothing then. */
export const lookClosely = (host: TestHost): Promise<Look> => look(host, "--lock-timeout", "1s");

/** Looks until nothing is left to heal or to wait for: then Node is not needed. */
export async function settle(t: ExecutionContext, host: TestHost): Promise<Look> {
  for (let tries = 0; tries < 5; tries++) {
    const seen = await look(host);
    if (seen.by === "native") return seen;
  }
  t.fail("each look starts Node");
  return await look(host);
}

export const find = (seen: Look, id: string): Observed | undefined =>
  seen.containers.find((one) => one.id === id);

/** What Node, the C library and the launcher read of a host for themselves: no answer comes from it. */
const ofTheProgram =
  /^\/(proc\/(self|sys|version|meminfo)|sys\/(devices|fs\/cgroup\/memory)|etc\/(ld|ssl)|run\/nexcage\/\.last-look)/;

/** Why no look can be traced here, or undefined. */
export const noTrace = existsSync("/usr/bin/strace") ? undefined : "needs the package strace";

/** What Node opens, or looks for, of a host when it looks, and what of that is not among what it keeps. */
export async function traceLook(host: TestHost): Promise<{ read: string[]; notKept: string[] }> {
  const textOf = async (file: string): Promise<string> => (await host.exec(["cat", file])).stdout;
  await host.exec(["rm", "/run/nexcage/.last-look"]);
  const strace = "exec strace -f -qq -e trace=%file -o /run/trace";
  const client = openOn(host, `${strace} ${agent} serve --stdio`);
  await client.ask("hello", hello);
  await client.ask("container/list");
  await client.close();
  const kept = await textOf("/run/nexcage/.last-look");
  const subjects = [...kept.matchAll(/^\w+ -?\d+ (.+)$/gm)].flatMap(([, subject = ""]) => [
    subject,
    subject.slice(subject.indexOf(" ") + 1),
  ]);
  const paths = (await textOf("/run/trace")).matchAll(/"(\/(?:run|var|etc|proc|sys)\/[^"]*)"/g);
  const read = [...new Set([...paths].map(([, path = ""]) => path))].filter(
    (path) => !ofTheProgram.test(path),
  );
  const isKept = (path: string): boolean =>
    subjects.includes(/^\/proc\/(\d+)\/stat$/.exec(path)?.[1] ?? path);
  return { read, notKept: read.filter((path) => !isKept(path)) };
}
