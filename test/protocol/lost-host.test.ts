import test, { type ExecutionContext } from "ava";
import type { FleetEvent } from "../../controller/events.ts";
import { HostAgent } from "../../controller/fleet.ts";
import type { AgentChannel } from "../../controller/session.ts";
import { NexcageError } from "../../shared/errors.ts";
import { SimulatedHost } from "../simulated/host.ts";
import { Random } from "../simulated/random.ts";

const { signal } = new AbortController();

/** An agent that was greeted, and whose link `cut` ends; while `away`, its host cannot be reached. */
async function openAgent(t: ExecutionContext) {
  const simulated = await SimulatedHost.make(new Random(1));
  const events: FleetEvent["kind"][] = [];
  const link = { away: false, tries: 0, cut: () => {} };
  const agent = new HostAgent(
    {
      name: "pve1",
      connection: { kind: "local" },
      become: "none",
      agentPath: "nexcage-agent",
      hostParallel: 4,
      commandTimeoutMs: 5_000,
      groups: [],
      labels: {},
      vars: {},
      place: { file: "test", line: 1, column: 1 },
    },
    {
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
      emit: ({ kind }) => events.push(kind),
      signal,
      reconnectMs: 100,
      retryMs: 10,
    },
  );
  t.teardown(async () => {
    await agent[Symbol.asyncDispose]();
    await simulated[Symbol.asyncDispose]();
  });
  await agent.open();
  return { agent, link, events };
}

test("a host that does not come back is given up once: what else is asked of it fails at once", async (t) => {
  const { agent, link, events } = await openAgent(t);
  link.away = true;
  link.cut();
  const asked = Array.from({ length: 5 }, () => agent.request("container/list", {}, { signal }));
  for (const answer of asked)
    await t.throwsAsync(answer, {
      code: "CONNECTION_LOST",
      message: /^pve1 was lost in the middle \(.*went silent\) and could not be reached again: .*no route/,
    });
  t.deepEqual(
    events.filter((kind) => kind.startsWith("host.")),
    ["host.connecting", "host.ready", "host.lost"],
    "told once for all that waited",
  );

  const tried = link.tries;
  link.away = false;
  await t.throwsAsync(agent.request("container/list", {}, { signal }), { code: "CONNECTION_LOST" });
  t.is(link.tries, tried, "and it is not tried again");
});

test("requests that are lost together come back over one new link", async (t) => {
  const { agent, link, events } = await openAgent(t);
  link.cut();
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => agent.request("container/list", {}, { signal })),
  );
  t.deepEqual(answers, Array(5).fill({ containers: [] }));
  t.is(link.tries, 2);
  t.deepEqual(events, ["host.connecting", "host.ready", "host.lost", "host.back"]);
});
