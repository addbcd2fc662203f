import test from "ava";
import type { Runtime } from "../../agent/runtime.ts";
import type { Change } from "../../shared/container.ts";
import { NexcageError } from "../../shared/errors.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";
import type { ContainerSpec } from "../../shared/spec.ts";
import { simulatedRuntime } from "../simulated/host.ts";

const id = ContainerId.parse("web");
const spec: ContainerSpec = { id, runtime: "crun", source: { kind: "bundle", path: "/bundles/web" } };
const signal = new AbortController().signal;

let lastOperation = 0;
function options(fleet = "shop") {
  lastOperation += 1;
  return { operationId: OperationId.parse(`operation-${lastOperation}`), fleet, signal };
}

const before = {
  missing: async () => {},
  created: async (runtime: Runtime) => {
    await runtime.create(spec, options());
  },
  running: async (runtime: Runtime) => {
    await runtime.create(spec, { ...options(), start: true });
  },
  stopped: async (runtime: Runtime) => {
    await runtime.create(spec, { ...options(), start: true });
    await runtime.stop(id, options());
  },
};

const operations = {
  create: (runtime: Runtime) => runtime.create(spec, options()),
  "create and start": (runtime: Runtime) => runtime.create(spec, { ...options(), start: true }),
  start: (runtime: Runtime) => runtime.start(id, options()),
  stop: (runtime: Runtime) => runtime.stop(id, options()),
  restart: (runtime: Runtime) => runtime.restart(id, options()),
  kill: (runtime: Runtime) => runtime.kill(id, "KILL", options()),
  delete: (runtime: Runtime) => runtime.delete(id, options()),
  "delete by force": (runtime: Runtime) => runtime.delete(id, { ...options(), force: true }),
  replace: (runtime: Runtime) => runtime.replace(spec, { ...options(), start: true }),
};

type End = "created" | "running" | "stopped" | "gone" | `${"same" | "refused"} ${string}`;

/** What each operation makes of a container in each state; `same`: it succeeds and changes nothing. */
const table: Record<keyof typeof operations, Record<keyof typeof before, End>> = {
  create: {
    missing: "created",
    created: "refused CONTAINER_EXISTS",
    running: "refused CONTAINER_EXISTS",
    stopped: "refused CONTAINER_EXISTS",
  },
  "create and start": {
    missing: "running",
    created: "refused CONTAINER_EXISTS",
    running: "refused CONTAINER_EXISTS",
    stopped: "refused CONTAINER_EXISTS",
  },
  start: {
    missing: "refused CONTAINER_NOT_FOUND",
    created: "running",
    running: "same running",
    stopped: "running",
  },
  stop: {
    missing: "refused CONTAINER_NOT_FOUND",
    created: "stopped",
    running: "stopped",
    stopped: "same stopped",
  },
  restart: {
    missing: "refused CONTAINER_NOT_FOUND",
    created: "running",
    running: "running",
    stopped: "running",
  },
  kill: {
    missing: "refused CONTAINER_NOT_FOUND",
    created: "stopped",
    running: "stopped",
    stopped: "same stopped",
  },
  delete: {
    missing: "refused CONTAINER_NOT_FOUND",
    created: "gone",
    running: "refused CONTAINER_RUNNING",
    stopped: "gone",
  },
  "delete by force": {
    missing: "refused CONTAINER_NOT_FOUND",
    created: "gone",
    running: "gone",
    stopped: "gone",
  },
  replace: { missing: "running", created: "running", running: "running", stopped: "running" },
};

for (const name of Object.keys(operations) as (keyof typeof operations)[]) // its own keys
  for (const from of Object.keys(before) as (keyof typeof before)[])
    test(`${name} of a container that is ${from}: ${table[name][from]}`, async (t) => {
      const { runtime, dispose } = await simulatedRuntime();
      t.teardown(dispose);
      await before[from](runtime);
      t.is(await endOf(operations[name](runtime)), table[name][from]);
      const expected = table[name][from].split(" ");
      const [container] = await runtime.list({ signal });
      const stays = expected[0] === "refused" ? from : expected.at(-1);
      t.is(container?.state.status ?? "gone", stays === "missing" ? "gone" : (stays ?? "gone"));
    });

async function endOf(changing: Promise<Change>): Promise<string> {
  try {
    const { changed, container } = await changing;
    const status = container?.state.status ?? "gone";
    return changed ? status : `same ${status}`;
  } catch (error) {
    return error instanceof NexcageError ? `refused ${error.code}` : String(error);
  }
}

test("a container of another fleet, or of nobody, is not changed", async (t) => {
  const { runtime, dispose } = await simulatedRuntime();
  t.teardown(dispose);
  await runtime.create(spec, { ...options("shop"), start: true });
  for (const change of [
    () => runtime.stop(id, options("other")),
    () => runtime.kill(id, "TERM", options("other")),
    () => runtime.delete(id, { ...options("other"), force: true }),
    () => runtime.replace(spec, options("other")),
    () => runtime.update({ ...spec, labels: { a: "b" } }, options("other")),
  ])
    t.is(await endOf(change()), "refused CONTAINER_NOT_OWNED");
  const [container] = await runtime.list({ signal });
  t.is(container?.state.status, "running");
});

test("a resend gives the recorded answer, and acts no second time", async (t) => {
  const { runtime, dispose } = await simulatedRuntime();
  t.teardown(dispose);
  const create = { ...options(), start: true };
  const first = await runtime.create(spec, create);
  t.deepEqual(await runtime.create(spec, create), first);
  const deletion = { ...options(), force: true };
  await runtime.delete(id, deletion);
  t.deepEqual(await runtime.delete(id, deletion), { changed: true }, "though there is none any more");
  t.deepEqual(await runtime.create(spec, create), first, "and this makes none");
  t.deepEqual(await runtime.list({ signal }), []);
});

test("the same operation sent twice at once acts once", async (t) => {
  const { runtime, dispose } = await simulatedRuntime();
  t.teardown(dispose);
  const create = { ...options(), start: true };
  const [one, other] = await Promise.all([runtime.create(spec, create), runtime.create(spec, create)]);
  t.deepEqual(one, other);
});

test("update changes labels and grace period in place, and refuses what needs a new container", async (t) => {
  const { runtime, dispose } = await simulatedRuntime();
  t.teardown(dispose);
  await runtime.create(spec, { ...options(), start: true });
  const labelled = { ...spec, labels: { tier: "front" }, stopGracePeriodMs: 500 };
  const { changed, container } = await runtime.update(labelled, options());
  t.true(changed);
  t.is(container?.state.annotations?.tier, "front");
  t.false((await runtime.update(labelled, options())).changed);
  const error = await t.throwsAsync(runtime.update({ ...labelled, command: ["x"] }, options()), {
    instanceOf: NexcageError,
    code: "SPEC_REFUSED",
  });
  t.deepEqual(error?.details, { fields: ["command"] });
});

for (const [text, code] of [
  ["SIGTERM", undefined],
  ["hup", undefined],
  ["9", undefined],
  ["RTMIN+1", undefined],
  ["SIGFOO", "USAGE"],
  ["0", "USAGE"],
  ["65", "USAGE"],
  ["", "USAGE"],
] as const)
  test(`kill ${JSON.stringify(text)} is ${code === undefined ? "taken" : `refused: ${code}`}`, async (t) => {
    const { runtime, dispose } = await simulatedRuntime();
    t.teardown(dispose);
    await runtime.create(spec, { ...options(), start: true });
    const end = await endOf(runtime.kill(id, text, options()));
    t.is(end, code === undefined ? "stopped" : `refused ${code}`);
  });
