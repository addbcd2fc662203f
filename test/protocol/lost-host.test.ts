import { randomUUID } from "node:crypto";
import test, { type ExecutionContext } from "ava";
import { runChanges } from "../../controller/apply/run.ts";
import type { FleetEvent } from "../../controller/events.ts";
import { openFleet } from "../../controller/fleet.ts";
import type { Host } from "../../controller/inventory/model.ts";
import type { PlannedChange } from "../../controller/plan/model.ts";
import type { AgentChannel } from "../../controller/session.ts";
import { NexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";
import { SimulatedHost } from "../simulated/host.ts";
import { Random } from "../simulated/random.ts";

const { signal } = new AbortController();

const pve1: Host = {
  name: "pve1",
  connection: { kind: "local" },
  become: "none",
  agentPath: "nexcage-agent",
  hostParallel: 4,
  storageParallel: 1,
  commandTimeoutMs: 5_000,
  groups: [],
  labels: {},
  vars: {},
  place: { file: "test", line: 1, column: 1 },
};

/** A host that was reached, and whose link `cut` ends; while `away`, it cannot be reached again. */
async function openHost(t: ExecutionContext) {
  const simulated = await SimulatedHost.make(new Random(1));
  const events: FleetEvent[] = [];
  const link = { away: false, tries: 0, cut: () => {} };
  const opened = await openFleet([pve1], {
    connect: async (host) => {
      link.tries += 1;
      if (link.away) throw new NexcageError("HOST_UNREACHABLE", `${host.name}: no route to host`);
      const transport = await simulated.connect(host.name);
      return {
        ...transport,
        openAgent: async (command, options) => {
          const channel = await transport.openAgent(command, options);
          const cut = Promise.withResolvers<Awaited<AgentChannel["exited"]>>();
          link.cut = () => {
            cut.resolve({ error: new NexcageError("CONNECTION_LOST", "the link to pve1 went silent") });
            channel.destroy();
          };
          return { ...channel, exited: Promise.race([channel.exited, cut.promise]) };
        },
      };
    },
    forks: 1,
    emit: (event) => events.push(event),
    signal,
    reconnectMs: 100,
    retryMs: 10,
  });
  t.teardown(async () => {
    await opened[Symbol.asyncDispose]();
    await simulated[Symbol.asyncDispose]();
  });
  const agent = opened.agents.get("pve1");
  if (agent === undefined) throw new Error("pve1 was not reached");
  return { opened, agent, link, events };
}

test("a host that does not come back is given up once: what else is asked of it fails at once", async (t) => {
  const { agent, link, events } = await openHost(t);
  link.away = true;
  link.cut();
  const asked = Array.from({ length: 5 }, () => agent.request("container/list", {}, { signal }));
  for (const answer of asked)
    await t.throwsAsync(answer, {
      code: "HOST_UNREACHABLE",
      message: /^pve1 was lost \(.*went silent\) and did not come back: .*no route/,
    });
  t.deepEqual(
    events.map(({ kind }) => kind),
    ["host.connecting", "host.ready", "host.lost"],
    "told once for all that waited",
  );

  const tried = link.tries;
  link.away = false;
  await t.throwsAsync(agent.request("container/list", {}, { signal }), { code: "HOST_UNREACHABLE" });
  t.is(link.tries, tried, "and it is not tried again");
});

test("requests that are lost together come back over one new link", async (t) => {
  const { agent, link, events } = await openHost(t);
  link.cut();
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => agent.request("container/list", {}, { signal })),
  );
  t.deepEqual(answers, Array(5).fill({ containers: [] }));
  t.is(link.tries, 2);
  t.deepEqual(
    events.map(({ kind }) => kind),
    ["host.connecting", "host.ready", "host.lost", "host.back"],
  );
});

test("what was still to be done on a host that is lost for good is skipped, and the host told of once", async (t) => {
  const { opened, link } = await openHost(t);
  link.away = true;
  link.cut();
  const changes = Array.from(
    { length: 8 },
    (_, index): PlannedChange => ({
      kind: "delete",
      host: "pve1",
      id: ContainerId.parse(`web-${index}`),
      reason: "left the fleet",
      fields: [],
      after: [],
    }),
  );
  const newOperationId = () => OperationId.parse(randomUUID());
  const options = { fleet: "shop", opened, newOperationId, emit: () => {}, signal };
  const outcomes = await runChanges(changes, options);
  t.deepEqual(
    outcomes.map(({ kind }) => kind),
    [...Array(4).fill("failed"), ...Array(4).fill("skipped")],
    "4 were in flight",
  );
  t.is(opened.unreachable.get("pve1")?.code, "HOST_UNREACHABLE");
});

test("what waits for something that is not in the plan any more is not begun", async (t) => {
  const { opened } = await openHost(t);
  const web: PlannedChange = {
    kind: "create",
    host: "pve1",
    id: ContainerId.parse("web"),
    reason: "is not there",
    fields: [],
    after: ["db@pve2"],
  };
  const newOperationId = () => OperationId.parse(randomUUID());
  const [outcome] = await runChanges([web], {
    fleet: "shop",
    opened,
    newOperationId,
    emit: () => {},
    signal,
  });
  t.like(outcome, { kind: "skipped", reason: "db@pve2 comes first, and was not done" });
});
