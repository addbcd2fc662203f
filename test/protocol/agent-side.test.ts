import { once } from "node:events";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { serveSession } from "../../agent/server/session.ts";
import { limits, mark, protocolVersion } from "../../shared/protocol.ts";
import { version } from "../../shared/version.ts";
import { simulatedRuntime } from "../simulated/host.ts";

type Answer = { id: number; result?: unknown; error?: { message: string; data?: { code: string } } };

/** An agent's session over two streams, spoken to in frames as they are on the wire. */
async function startSession(
  t: ExecutionContext,
  options: { silenceMs?: number; alive?: () => Promise<void> } = {},
) {
  const input = new PassThrough();
  const output = new PassThrough();
  const { runtime, dispose } = await simulatedRuntime(options.alive);
  const { signal } = new AbortController();
  const ended = serveSession({ input, output, runtime, signal, ...options });
  ended.catch(() => {}); // the tests that expect it to fail look at it themselves
  t.teardown(async () => {
    input.end();
    await ended.catch(() => {});
    await dispose();
  });
  let written = "";
  output.setEncoding("utf8").on("data", (text: string) => {
    written += text;
  });
  return {
    ended,
    runtime,
    /** The link is gone, in both directions. */
    async cut(): Promise<void> {
      const closed = [once(input, "close"), once(output, "close")];
      input.destroy();
      output.destroy();
      await Promise.all(closed);
    },
    send(message: unknown): void {
      const body = JSON.stringify(message);
      input.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    },
    sendRaw: (bytes: string) => void input.write(bytes),
    /** The answers, once there are so many of them. */
    async answers(count: number): Promise<Answer[]> {
      const deadline = Date.now() + 10_000;
      while (answersIn(written).length < count && Date.now() < deadline) await sleep(5);
      return answersIn(written);
    },
  };
}

function answersIn(output: string): Answer[] {
  const [before, frames = ""] = output.split(mark);
  if (before !== "" && frames !== "") throw new Error(`something came before the mark: ${before}`);
  return frames
    .split(/Content-Length: \d+\r\n\r\n/)
    .filter((body) => body !== "")
    .map((body) => JSON.parse(body))
    .filter((message) => "id" in message);
}

const hello = {
  jsonrpc: "2.0",
  id: 1,
  method: "hello",
  params: { protocol: protocolVersion, controllerVersion: "0" },
};
const create = (id: number, operationId: string, name: string) => ({
  jsonrpc: "2.0",
  id,
  method: "container/create",
  params: {
    operationId,
    spec: { id: name, runtime: "crun", source: { kind: "bundle", path: "/srv/web" } },
    start: true,
  },
});

test("the agent writes its mark, then answers hello with who it is", async (t) => {
  const session = await startSession(t);
  session.send(hello);
  const [answer] = await session.answers(1);
  t.like(answer, {
    id: 1,
    result: { protocol: protocolVersion, agentVersion: version, hostname: "simulated" },
  });
});

test("a nexcage of protocol 1.2 is told what runs containers too: it takes no hello without", async (t) => {
  const session = await startSession(t);
  session.send({ ...hello, params: { ...hello.params, protocol: "1.2" } });
  const [answer] = await session.answers(1);
  t.like(answer?.result, { hostname: "simulated", protocol: protocolVersion });
  t.regex(JSON.stringify(answer?.result), /"cgroups":"\w+","backends":\[/);
});

test("what comes before hello is refused", async (t) => {
  const session = await startSession(t);
  session.send({ jsonrpc: "2.0", id: 7, method: "container/list", params: {} });
  const [answer] = await session.answers(1);
  t.like(answer?.error, { data: { code: "PROTOCOL_ERROR" }, message: "container/list came before hello" });
});

test("a controller of another major version is told which one the agent speaks", async (t) => {
  const session = await startSession(t);
  session.send({ ...hello, params: { protocol: "2.0", controllerVersion: "9" } });
  const [answer] = await session.answers(1);
  t.like(answer?.error, {
    data: { code: "PROTOCOL_VERSION" },
    message: `this agent speaks protocol ${protocolVersion}, the controller "2.0"`,
  });
});

test("parameters that do not fit are refused with their place, and the session goes on", async (t) => {
  const session = await startSession(t);
  session.send(hello);
  session.send({ ...create(2, "operation-1", "../etc"), id: 2 });
  session.send({ jsonrpc: "2.0", id: 3, method: "container/list", params: {} });
  const answers = await session.answers(3);
  const refused = answers.find(({ id }) => id === 2)?.error;
  t.like(refused, { data: { code: "PROTOCOL_ERROR" } });
  t.regex(refused?.message ?? "", /^container\/create: spec\.id: /);
  t.like(
    answers.find(({ id }) => id === 3),
    { result: { containers: [] } },
  );
});

test("an unknown request is refused by name", async (t) => {
  const session = await startSession(t);
  session.send(hello);
  session.send({ jsonrpc: "2.0", id: 2, method: "container/teleport", params: {} });
  const answers = await session.answers(2);
  t.is(
    answers.find(({ id }) => id === 2)?.error?.message,
    'this agent does not know the request "container/teleport"',
  );
});

test("the same operation sent again gives the recorded answer, and acts once", async (t) => {
  const session = await startSession(t);
  session.send(hello);
  session.send(create(2, "operation-1", "web"));
  session.send(create(3, "operation-1", "web"));
  session.send(create(4, "operation-2", "web"));
  const answers = await session.answers(4);
  const answerOf = (wanted: number) => answers.find(({ id }) => id === wanted);
  t.like(answerOf(2)?.result, { changed: true, container: { state: { status: "running" } } });
  t.deepEqual(answerOf(3)?.result, answerOf(2)?.result);
  t.like(answerOf(4)?.error, { data: { code: "CONTAINER_EXISTS" } });
});

test("garbage on stdin ends the session with PROTOCOL_ERROR", async (t) => {
  const session = await startSession(t);
  session.sendRaw("GET / HTTP/1.1\r\n\r\n");
  await t.throwsAsync(session.ended, {
    code: "PROTOCOL_ERROR",
    message: /^not a frame of the protocol: "GET/,
  });
});

test("a frame over the limit is refused by its header, before it is read", async (t) => {
  const session = await startSession(t);
  session.sendRaw(`Content-Length: ${limits.frameBytes + 1}\r\n\r\n`);
  await t.throwsAsync(session.ended, { code: "FRAME_TOO_LARGE" });
});

test("a header without end is refused, and not gathered", async (t) => {
  const session = await startSession(t);
  session.sendRaw(`Content-Length: ${" ".repeat(2_000)}`);
  await t.throwsAsync(session.ended, { code: "PROTOCOL_ERROR" });
});

test("a frame that is no JSON ends the session", async (t) => {
  const session = await startSession(t);
  session.sendRaw("Content-Length: 4\r\n\r\n{{{{");
  await t.throwsAsync(session.ended, { code: "PROTOCOL_ERROR" });
});

test("a controller that falls silent is given up, and its locks are free", async (t) => {
  const session = await startSession(t, { silenceMs: 100 });
  session.send(hello);
  const holder = { user: "u", host: "h", pid: 1, since: new Date().toISOString() };
  session.send({ jsonrpc: "2.0", id: 2, method: "fleet/lock", params: { fleet: "shop", holder } });
  await t.notThrowsAsync(session.ended);
});

test("more requests in flight than the limit are refused, and the others answered", async (t) => {
  const released = Promise.withResolvers<void>();
  const session = await startSession(t, { alive: () => released.promise });
  session.send(hello);
  await session.answers(1);
  for (let id = 2; id < limits.requestsInFlight + 10; id++)
    session.send(create(id, `operation-${id}`, `web-${id}`));
  const refused = (await session.answers(9)).filter(({ error }) => error?.data?.code === "TOO_MANY_REQUESTS");
  t.is(refused.length, 8);
  released.resolve();
  const answers = await session.answers(limits.requestsInFlight + 9);
  t.is(answers.filter(({ result }) => result !== undefined).length, limits.requestsInFlight + 1);
});

test("a change goes on to its end when its controller is gone, and nobody hears its steps", async (t) => {
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const alive = (): Promise<void> => {
    reached.resolve();
    return released.promise;
  };
  const { ended, runtime, ...session } = await startSession(t, { alive });
  session.send(hello);
  await session.answers(1);
  session.send(create(2, "operation-2", "web"));
  await reached.promise;
  await session.cut();
  released.resolve();
  await ended;
  const [web] = await runtime.list({ signal: new AbortController().signal });
  t.is(web?.state.status, "running");
});
