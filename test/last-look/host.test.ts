import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { Observed } from "../../shared/container.ts";
import { type OciHost, obedient, onOciHost, sleeping } from "../oci/oci-host.ts";
import { hello, openClient } from "./client.ts";

/*
 * Whatever becomes of a container or of its host, who looks is told it: what was kept of the last look is of no use
 * then. Each case is told apart from Node's own look, and seen to be answered without it once nothing changes any more.
 */

const ociTest = onOciHost(test);

type Look = { containers: Observed[]; by: "native" | "Node" };

/** Over a real sshd, by the door that knows the last look, or by Node's own. */
async function look({ host, program }: OciHost, ...options: string[]): Promise<Look> {
  const config = join(host.dir, "../../ssh_config");
  const command = [program, "serve", "--stdio", ...options];
  const client = openClient("ssh", ["-F", config, host.name, ...command]);
  await client.ask("hello", hello);
  const { containers } = (await client.ask("container/list")) as { containers: Observed[] };
  const { stdout } = await host.exec([
    "pgrep",
    "-f",
    "^(/proc/self/fd/|.*)nexcage-agent --min-semi-space-size.* serve",
  ]);
  await client.close();
  return { containers, by: stdout === "" ? "native" : "Node" };
}

/** What Node sees; it keeps nothing of it. */
const lookClosely = (host: OciHost): Promise<Look> => look(host, "--lock-timeout", "1s");

/** Looks until nothing is left to heal or to wait for: then Node is not needed. */
async function settle(t: ExecutionContext, host: OciHost): Promise<Look> {
  for (let tries = 0; tries < 5; tries++) {
    const seen = await look(host);
    if (seen.by === "native") return seen;
  }
  t.fail("each look starts Node");
  return await look(host);
}

const find = (seen: Look, id: string): Observed | undefined => seen.containers.find((one) => one.id === id);

/** A container of the agent's own, with a record and a monitor. */
async function run({ bundle, detached }: OciHost, id: string): Promise<void> {
  const folder = bundle(id, obedient);
  const made = await detached("run", "-d", "--name", id, "--bundle", folder);
  if (made.exitCode !== 0) throw new Error(made.stdout);
}

const changes: {
  title: string;
  change: string;
  sees: (seen: Look) => unknown;
  /** Where each look starts Node, because what it sees is not to be read again. */
  isUnsettled?: boolean;
}[] = [
  {
    title: "its process is killed",
    change: 'pkill -9 -P "$(pgrep -x nexcage-monitor)"; sleep 0.5',
    sees: (seen) => find(seen, "web")?.exit?.signal === 9 && find(seen, "web")?.state.status === "stopped",
  },
  {
    title: "its monitor is killed",
    change: "pkill -9 -f nexcage-monitor; sleep 0.2",
    sees: (seen) => find(seen, "web")?.monitor === "lost",
    isUnsettled: true,
  },
  {
    title: "it is paused",
    change: "$A pause web",
    sees: (seen) => find(seen, "web")?.state.status === "paused",
  },
  {
    title: "it is stopped",
    change: "$A stop web",
    sees: (seen) => find(seen, "web")?.exit?.exitCode === 7,
  },
  { title: "it is deleted", change: "$A delete --force web", sees: (seen) => seen.containers.length === 0 },
  {
    title: "its record is written by somebody else",
    change: 'sed -i \'s/"createdAt":"20../"createdAt":"2001/\' /var/lib/nexcage/containers/web.json',
    sees: (seen) => find(seen, "web")?.createdAt?.startsWith("2001"),
  },
  {
    title: "a second one is made",
    change: "$A create --bundle $B/other other >/dev/null 2>&1 </dev/null",
    sees: (seen) => find(seen, "other")?.state.status === "created",
  },
  {
    title: "its state file is spoiled",
    change: "echo '{}' >/run/nexcage/web/state.json",
    sees: (seen) => find(seen, "web")?.state.status === "running",
  },
  {
    title: "an agent has begun on something, and not ended it",
    change:
      'mkdir -p /var/lib/nexcage/journal; echo \'{"at":"2026-01-01T00:00:00Z","intent":{"operationId":"cut-off","kind":"delete","id":"web"}}\' >/var/lib/nexcage/journal/dead.jsonl',
    sees: (seen) => find(seen, "web")?.state.status === "running",
  },
  {
    title: "its host gets settings",
    change: "mkdir -p /etc/nexcage; echo 'log_level: error' >/etc/nexcage/config.yaml",
    sees: (seen) => find(seen, "web")?.state.status === "running",
  },
  {
    title: "its host gets another name",
    change: "hostname renamed",
    sees: (seen) => find(seen, "web")?.state.status === "running",
  },
];

for (const { title, change, sees, isUnsettled = false } of changes)
  ociTest(`a look sees that ${title}`, async (t, oci) => {
    await run(oci, "web");
    oci.bundle("other", sleeping);
    try {
      t.is(find(await settle(t, oci), "web")?.state.status, "running");
      const { stderr } = await oci.shell(change);
      t.is(stderr, "");
      const seen = await look(oci);
      t.truthy(sees(seen), JSON.stringify(seen.containers));
      t.is(seen.by, "Node");
      t.deepEqual(seen.containers, (await lookClosely(oci)).containers);
      if (isUnsettled) return;
      t.deepEqual((await settle(t, oci)).containers, seen.containers);
    } finally {
      await oci.shell(
        "hostname oci; rm -rf /etc/nexcage /var/lib/nexcage/journal/dead.jsonl; $A resume web; $A delete --force web",
      );
    }
  });

ociTest("a container that has ended, and one of an OCI client's, need no Node to be told", async (t, oci) => {
  await run(oci, "ended");
  await oci.shell("$A stop ended");
  await oci.start("pod", sleeping);
  const seen = await settle(t, oci);
  t.is(find(seen, "ended")?.exit?.exitCode, 7);
  t.is(find(seen, "pod")?.client, "root");
  t.deepEqual(seen.containers, (await lookClosely(oci)).containers);
  await oci.shell("$A delete --force ended");
});

ociTest("all that a look reads is kept with it, to be read again", async (t, oci) => {
  const { host, program, shell } = oci;
  if ((await shell("command -v strace")).exitCode !== 0) {
    t.pass("needs the package strace");
    return;
  }
  await run(oci, "web");
  await run(oci, "ended");
  await shell("$A stop ended");
  await oci.start("pod", sleeping);
  await settle(t, oci);
  await shell("rm /run/nexcage/.last-look");
  const { ask, close } = openClient("ssh", [
    "-F",
    join(host.dir, "../../ssh_config"),
    host.name,
    `exec strace -f -qq -e trace=%file -o /run/trace ${program} serve --stdio`,
  ]);
  await ask("hello", hello);
  await ask("container/list");
  await close();
  const trace = (await shell("cat /run/trace")).stdout;
  const kept = (await shell("cat /run/nexcage/.last-look")).stdout;
  const paths = [...trace.matchAll(/"(\/(?:run|var|etc|proc|sys)\/[^"]*)"/g)].map(([, path = ""]) => path);
  const subjects = new Set([...kept.matchAll(/^\w+ -?\d+ (.+)$/gm)].map(([, subject = ""]) => subject));
  const isKept = (path: string): boolean => subjects.has(/^\/proc\/(\d+)\/stat$/.exec(path)?.[1] ?? path);
  t.true(paths.includes("/run/nexcage/.crun/web/status"));
  t.deepEqual(
    [...new Set(paths)].filter((path) => !isKept(path) && !isOfTheProgram(path)),
    [],
  );
  await shell("$A delete --force ended; $A delete --force web");
});

/** What Node, the C library and the launcher read of a host for themselves: no answer comes from it. */
function isOfTheProgram(path: string): boolean {
  return /^\/(proc\/self|proc\/sys|proc\/version|proc\/meminfo|sys\/fs\/cgroup\/(?!freezer)|etc\/ld|etc\/ssl|sys\/devices|run\/nexcage\/\.last-look)/.test(
    path,
  );
}
