import type { TestFn } from "ava";
import {
  type AgentHost,
  newOperation,
  type OciRuntimeName,
  type Outcome,
  onAgentHost,
  residentId,
  specsOf,
} from "./agent-host.ts";

/** What is there after an agent was killed at any step. */
export function crashTests(test: TestFn, runtime: OciRuntimeName): void {
  const hostTest = onAgentHost(test);
  const makeSpec = specsOf(runtime);

  const web = makeSpec("web");
  const newWeb = makeSpec("web", { environment: { VERSION: "2" } });
  const otherWeb = makeSpec("web", { runtime: runtime === "crun" ? "runc" : "crun" });
  const { id } = web;

  let clean: Promise<string> | undefined;

  /** What is on the host while there is nothing but a container that keeps the image. */
  function withResident(agent: AgentHost): Promise<string> {
    clean ??= (async () => {
      await agent.run({ do: "create", spec: makeSpec(residentId), operationId: newOperation() });
      return await agent.leftovers();
    })();
    return clean;
  }

  const deletion = () => ({ do: "delete", id, force: true, operationId: newOperation() }) as const;

  function statusOf(outcome: Outcome | undefined): string | undefined {
    return outcome?.container?.state.status;
  }

  const createSteps = ["begun", "preparing", "creating", "starting", "recording", "ending"];
  for (const step of createSteps)
    hostTest(
      `an agent killed before "${step}" of create leaves nothing half made, and the resend makes one`,
      async (t, agent) => {
        const before = await withResident(agent);
        const create = { do: "create", spec: web, start: true, operationId: newOperation() } as const;
        t.deepEqual(await agent.run({ ...create, killAt: step }), [undefined]);

        const found = (await agent.list()).find((container) => container.id === id);
        if (step === "ending") t.is(found?.state.status, "running", "only the telling was missing");
        else t.is(await agent.leftovers(), before);

        const [resent, again] = await agent.run(create, create, deletion());
        t.is(statusOf(resent), "running");
        t.is(again?.container?.state.pid, resent?.container?.state.pid, "and never twice");
        if (found !== undefined) t.is(resent?.container?.state.pid, found.state.pid);
        t.is(await agent.leftovers(), before);
      },
    );

  for (const step of createSteps)
    hostTest(
      `an agent killed before "${step}" of start leaves a whole container, and the resend runs it`,
      async (t, agent) => {
        const before = await withResident(agent);
        await agent.run(
          { do: "create", spec: web, start: true, operationId: newOperation() },
          { do: "stop", id, operationId: newOperation() },
        );
        const start = { do: "start", id, operationId: newOperation() } as const;
        t.deepEqual(await agent.run({ ...start, killAt: step }), [undefined]);

        const found = (await agent.list()).find((container) => container.id === id);
        t.not(found?.state.status, "creating");
        const [resent, again] = await agent.run(start, start, deletion());
        t.is(statusOf(resent), "running");
        t.is(again?.container?.state.pid, resent?.container?.state.pid);
        if (found?.state.status === "running")
          t.is(resent?.container?.state.pid, found.state.pid, "never twice");
        t.is(await agent.leftovers(), before);
      },
    );

  for (const step of ["begun", "stopping", ...createSteps.slice(1)])
    hostTest(
      `an agent killed before "${step}" of restart: the next one finishes it, once`,
      async (t, agent) => {
        const before = await withResident(agent);
        const [made] = await agent.run({ do: "create", spec: web, start: true, operationId: newOperation() });
        const restart = { do: "restart", id, operationId: newOperation() } as const;
        t.deepEqual(await agent.run({ ...restart, killAt: step }), [undefined]);

        const found = (await agent.list()).find((container) => container.id === id);
        t.is(found?.state.status, "running");
        t.not(found?.state.pid, made?.container?.state.pid);
        const [resent] = await agent.run(restart, deletion());
        t.is(statusOf(resent), "running");
        t.is(resent?.container?.state.pid, found?.state.pid, "never twice");
        t.is(await agent.leftovers(), before);
      },
    );

  const replaceSteps = ["begun", "stopping", "retiring", ...createSteps.slice(1, -1), "discarding", "ending"];
  const replacements = [
    ...replaceSteps.map((step) => ({ step, spec: newWeb, what: "replace" })),
    ...replaceSteps.slice(1).map((step) => ({ step, spec: otherWeb, what: "replace by another runtime" })),
  ];
  for (const { step, spec, what } of replacements)
    hostTest(
      `an agent killed before "${step}" of ${what} leaves the old or the new one running`,
      async (t, agent) => {
        const before = await withResident(agent);
        await agent.run({ do: "create", spec: web, start: true, operationId: newOperation() });
        const [, , , state] = await agent.run(
          { do: "stop", id, operationId: newOperation() },
          { do: "start", id, operationId: newOperation() },
          { do: "list" },
          { do: "state", id },
        );
        await agent.shell(`nsenter -t ${state?.state?.pid} -m sh -c 'echo kept >/data/file'`);
        const replace = { do: "replace", spec, start: true, operationId: newOperation() } as const;
        t.deepEqual(await agent.run({ ...replace, killAt: step }), [undefined]);

        const found = (await agent.list()).find((container) => container.id === id);
        t.is(found?.state.status, "running");
        const isNew = step === "discarding" || step === "ending";
        t.deepEqual(found?.spec, isNew ? spec : web);
        const file = await agent.shell(`nsenter -t ${found?.state.pid} -m cat /data/file`);
        t.is(file, isNew ? "" : "kept", "with its files");

        const [resent] = await agent.run(replace, deletion());
        t.is(statusOf(resent), "running");
        t.deepEqual(resent?.container?.spec, spec);
        if (isNew) t.is(resent?.container?.state.pid, found?.state.pid, "never twice");
        t.is(await agent.leftovers(), before);
      },
    );

  hostTest(
    "what a cut off replace leaves can be deleted, also where it cannot run any more",
    async (t, agent) => {
      const before = await withResident(agent);
      const mounts = [{ type: "bind", source: "/srv/gone", target: "/mnt" }] as const;
      await agent.shell("mkdir -p /srv/gone");
      const spec = makeSpec("web", { mounts: [...mounts] });
      await agent.run({ do: "create", spec, start: true, operationId: newOperation() });
      const replace = { do: "replace", spec: newWeb, start: true, operationId: newOperation() } as const;
      t.deepEqual(await agent.run({ ...replace, killAt: "creating" }), [undefined]);
      await agent.shell("rmdir /srv/gone");

      const found = (await agent.list()).find((container) => container.id === id);
      t.is(found?.state.status, "stopped");
      t.deepEqual(found?.spec, spec);
      t.deepEqual(await agent.run(deletion()), [{ changed: true }]);
      t.is(await agent.leftovers(), before);
    },
  );

  for (const step of ["begun", "stopping", "deleting", "forgetting", "ending"])
    hostTest(`an agent killed before "${step}" of delete: the next one finishes it`, async (t, agent) => {
      const before = await withResident(agent);
      await agent.run({ do: "create", spec: web, start: true, operationId: newOperation() });
      const cut = deletion();
      t.deepEqual(await agent.run({ ...cut, killAt: step }), [undefined]);

      await agent.list();
      t.is(await agent.leftovers(), before);
      t.deepEqual(await agent.run(cut), [{ changed: true }]);
      const [made] = await agent.run({ do: "create", spec: web, start: true, operationId: newOperation() });
      t.is(statusOf(made), "running");
    });

  hostTest(
    "an agent killed at any moment of create and replace leaves nothing half made",
    async (t, agent) => {
      const before = await withResident(agent);
      const create = { do: "create", spec: web, start: true } as const;
      const replace = { do: "replace", spec: newWeb, start: true } as const;
      for (let killAfterMs = 0; killAfterMs <= 210; killAfterMs += 30) {
        const operations = [
          { ...create, operationId: newOperation() },
          { ...replace, operationId: newOperation() },
        ];
        await agent.killed(operations, { killAfterMs });
        const [found] = (await agent.list()).filter((container) => container.id === id);
        t.true(
          found === undefined || found.state.status === "running",
          `${killAfterMs} ms: ${found?.state.status}`,
        );
        const ended = await agent.run(...operations);
        t.deepEqual(
          ended.map((outcome) => outcome?.error),
          [undefined, undefined],
          `${killAfterMs} ms`,
        );
        const [now] = (await agent.list()).filter((container) => container.id === id);
        t.is(now?.state.status, "running");
        t.deepEqual(now?.spec, newWeb);
        await agent.run(deletion());
        t.is(await agent.leftovers(), before, `${killAfterMs} ms`);
      }
    },
  );
}
