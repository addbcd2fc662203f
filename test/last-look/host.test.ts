import test from "ava";
import { type OciHost, obedient, onOciHost, sleeping } from "../oci/oci-host.ts";
import { find, type HostChange, look, lookClosely, noTrace, settle, traceLook } from "./look.ts";

/*
 * Whatever becomes of a container or of its host, who looks is told it: what was kept of the last look is of no use
 * then. Each case is told apart from Node's own look, and seen to be answered without it once nothing changes any more.
 */

const ociTest = onOciHost(test);

/** A container of the agent's own, with a record and a monitor. */
async function run({ bundle, detached }: OciHost, id: string): Promise<void> {
  const folder = bundle(id, obedient);
  const made = await detached("run", "-d", "--name", id, "--bundle", folder);
  if (made.exitCode !== 0) throw new Error(made.stdout);
}

/** An agent has begun on something, and not ended it. */
function cutOff(operationId: string): string {
  const intent = { operationId, kind: "delete", id: "web" };
  const line = JSON.stringify({ at: "2026-01-01T00:00:00Z", intent });
  return `mkdir -p /var/lib/nexcage/journal; echo '${line}' >/var/lib/nexcage/journal/dead.jsonl`;
}

/** `isUnsettled`: each look starts Node then, because what it sees is not to be read again. */
const changes: (HostChange & { isUnsettled?: boolean })[] = [
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
    change: cutOff("cut-off-once"),
    sees: (seen) => seen.containers.length === 0,
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
      t.is(find(await settle(t, oci.host), "web")?.state.status, "running");
      const { stderr } = await oci.shell(change);
      t.is(stderr, "");
      const seen = await look(oci.host);
      t.truthy(sees(seen), JSON.stringify(seen.containers));
      t.is(seen.by, "Node");
      t.deepEqual(seen.containers, (await lookClosely(oci.host)).containers);
      if (isUnsettled) return;
      t.deepEqual((await settle(t, oci.host)).containers, seen.containers);
    } finally {
      await oci.shell(
        "hostname oci; rm -rf /etc/nexcage /var/lib/nexcage/journal/dead.jsonl; $A resume web; $A delete --force web",
      );
    }
  });

ociTest("what could not be settled yet is tried at each look", async (t, oci) => {
  await run(oci, "web");
  await settle(t, oci.host);
  const locked = "flock /run/lock/nexcage/container-web sleep 1000 >/dev/null 2>&1 & echo $!; sleep 0.5";
  const pid = (
    await oci.shell(`mkdir -p /run/lock/nexcage; ${locked}; ${cutOff("cut-off-while-locked")}`)
  ).stdout.trim();
  t.is((await look(oci.host)).by, "Node");
  t.is((await look(oci.host)).by, "Node");
  await oci.shell(`pkill -P ${pid}; kill ${pid}`);
  t.deepEqual((await settle(t, oci.host)).containers, [], "it was to be deleted");
  await oci.shell("rm /var/lib/nexcage/journal/dead.jsonl");
});

ociTest("a container that has ended, and one of an OCI client's, need no Node to be told", async (t, oci) => {
  await run(oci, "ended");
  await oci.shell("$A stop ended");
  await oci.start("pod", sleeping);
  const seen = await settle(t, oci.host);
  t.is(find(seen, "ended")?.exit?.exitCode, 7);
  t.is(find(seen, "pod")?.client, "root");
  t.deepEqual(seen.containers, (await lookClosely(oci.host)).containers);
  await oci.shell("$A delete --force ended");
});

ociTest("all that a look reads is kept with it, to be read again", async (t, oci) => {
  if (noTrace !== undefined) {
    t.log(noTrace);
    t.pass();
    return;
  }
  await run(oci, "web");
  await run(oci, "ended");
  await oci.shell("$A stop ended");
  await oci.start("pod", sleeping);
  await settle(t, oci.host);
  const { read, notKept } = await traceLook(oci.host);
  t.true(read.includes("/run/nexcage/.crun/web/status"));
  t.deepEqual(notKept, []);
  await oci.shell("$A delete --force ended; $A delete --force web");
});
