import { spawn } from "node:child_process";
import test, { type ExecutionContext } from "ava";
import { type AgentChannel, openSession } from "../../controller/session.ts";
import { ContainerId, OperationId } from "../../shared/ids.ts";
import { limits, mark } from "../../shared/protocol.ts";
import type { ContainerSpec } from "../../shared/spec.ts";

const { signal } = new AbortController();

/** A program that stands where the agent should, and what its session comes to. */
function openWith(t: ExecutionContext, script: string, options: { helloTimeoutMs?: number } = {}) {
  const child = spawn("sh", ["-c", script], { stdio: "pipe" });
  t.teardown(() => child.kill("SIGKILL"));
  const exited = new Promise<Awaited<AgentChannel["exited"]>>((resolve) => {
    child.on("close", (code, killedBy) =>
      resolve({ code: code ?? undefined, signal: killedBy ?? undefined }),
    );
  });
  const { stdin, stdout, stderr } = child;
  const log: string[] = [];
  const session = openSession(
    { stdin, stdout, stderr, exited, destroy: () => child.kill("SIGKILL") },
    {
      host: "pve1",
      agentPath: "/usr/bin/nexcage-agent",
      signal,
      onLog: (line) => log.push(line),
      ...options,
    },
  );
  session.catch(() => {}); // each test looks at it itself
  return { session, log, child };
}

const hello = {
  agentVersion: "0",
  protocol: "1.0",
  ociVersion: "1.3.0",
  hostname: "pve1",
  kernel: "6",
  architecture: "x64",
};

function frame(message: unknown): string {
  const body = JSON.stringify({ jsonrpc: "2.0", ...(message as object) }); // a literal of this file's
  return `Content-Length: ${body.length}\\r\\n\\r\\n${body}`;
}

/** A shell line that says hello as an agent would. */
const sayHello = (protocol = "1.0") =>
  `printf '${mark.trim()}\\n${frame({ id: 0, result: { ...hello, protocol } })}'`;

test("what a login shell prints before the agent goes into the log, and does no harm", async (t) => {
  const { session, log } = openWith(t, `echo 'Welcome to pve1'; ${sayHello()}; exec cat`);
  await using opened = await session;
  t.is(opened.hello.hostname, "pve1");
  t.deepEqual(log, ["Welcome to pve1"]);
});

test("a host without an agent is told so, with where it was looked for", async (t) => {
  const { session } = openWith(t, "exec /nonexistent/nexcage-agent serve --stdio");
  const error = await t.throwsAsync(session, { code: "AGENT_MISSING" });
  t.regex(error?.message ?? "", /^pve1 has no agent at \/usr\/bin\/nexcage-agent: .*not found/);
});

test("an agent that ends before hello is told with its exit code and last words", async (t) => {
  const { session } = openWith(t, "echo 'it broke' >&2; exit 3");
  await t.throwsAsync(session, {
    code: "AGENT_LOST",
    message: "the agent on pve1 ended with exit code 3: it broke",
  });
});

test("a program that prints no end of garbage is refused", async (t) => {
  const { session } = openWith(t, "exec yes garbage");
  await t.throwsAsync(session, { code: "AGENT_GARBAGE", message: /^pve1: no agent answered: "garbage/ });
});

test("garbage after the mark is refused with its first bytes", async (t) => {
  const { session } = openWith(t, `printf '${mark.trim()}\\nSegmentation fault\\n'; exec cat`);
  await t.throwsAsync(session, {
    code: "AGENT_GARBAGE",
    message: /^pve1: not a frame of the protocol: "Segmentation/,
  });
});

test("a frame over the limit is refused by its header", async (t) => {
  const header = `Content-Length: ${limits.frameBytes + 1}`;
  const { session } = openWith(t, `printf '${mark.trim()}\\n${header}\\r\\n\\r\\n'; exec cat`);
  await t.throwsAsync(session, { code: "FRAME_TOO_LARGE" });
});

test("an agent of another major protocol is told with both versions and what to install", async (t) => {
  const { session } = openWith(t, `${sayHello("2.0")}; exec cat`);
  const error = await t.throwsAsync(session, { code: "PROTOCOL_VERSION" });
  t.is(error?.message, "the agent on pve1 speaks protocol 2.0, this nexcage 1.3");
});

test("an agent of an older minor protocol is not asked for what came later, and told of", async (t) => {
  const { session } = openWith(t, `${sayHello("1.0")}; exec cat`);
  await using opened = await session;
  const pause = { operationId: OperationId.parse("operation-1"), id: ContainerId.parse("web") };
  await t.throwsAsync(opened.request("container/pause", pause, { signal }), {
    code: "PROTOCOL_VERSION",
    message: "the agent on pve1 speaks protocol 1.0, and container/pause came with 1.1",
  });
});

test("a change that wants a snapshot first is not sent to an agent that would pass over the wish", async (t) => {
  const { session } = openWith(t, `${sayHello("1.1")}; exec cat`);
  await using opened = await session;
  const id = ContainerId.parse("web");
  const spec: ContainerSpec = { id, runtime: "lxc", source: { kind: "template", volume: "debian-13" } };
  const update = { operationId: OperationId.parse("operation-1"), spec, snapshot: "required" } as const;
  await t.throwsAsync(opened.request("container/update", update, { signal }), {
    code: "PROTOCOL_VERSION",
    message: "the agent on pve1 speaks protocol 1.1, and snapshot of container/update came with 1.2",
  });
});

test("what a newer nexcage has made, in words that this one does not know, hides no other container", async (t) => {
  const state = { ociVersion: "1.3.0", id: "web", status: "running", pid: 5, bundle: "/b", annotations: {} };
  const spec = { id: "web", runtime: "crun", source: { kind: "bundle", path: "/b" }, gpus: 2 };
  const containers = [{ id: "web", backend: "crun", state, fleet: "other", spec }];
  const answer = frame({ id: 1, result: { containers } });
  const { session } = openWith(t, `${sayHello("1.9")}; printf '${answer}'; exec cat`);
  await using opened = await session;
  const listed = await opened.request("container/list", {}, { signal });
  t.deepEqual(
    listed.containers.map(({ id, fleet, spec: known }) => ({ id, fleet, known })),
    [{ id: ContainerId.parse("web"), fleet: "other", known: undefined }],
  );
});

test("an agent of a newer minor protocol is talked to", async (t) => {
  const { session } = openWith(t, `${sayHello("1.9")}; exec cat`);
  await using opened = await session;
  t.is(opened.hello.protocol, "1.9");
});

test("an agent that never answers hello is given up, with the command to try by hand", async (t) => {
  const { session } = openWith(t, `printf '${mark.trim()}\\n'; exec sleep 60`, { helloTimeoutMs: 200 });
  const error = await t.throwsAsync(session, { code: "TIMED_OUT" });
  t.is(error?.message, "the agent on pve1 did not answer hello within 0.2 s");
});

test("an agent killed while it works on a request rejects it, and says by which signal", async (t) => {
  const { session, child } = openWith(t, `${sayHello()}; exec sleep 60`);
  const opened = await session;
  const answer = opened.request("container/list", {}, { signal });
  child.kill("SIGKILL");
  await t.throwsAsync(answer, { code: "AGENT_LOST", message: "the agent on pve1 was killed by SIGKILL" });
  await t.throwsAsync(opened.request("container/list", {}, { signal }), { code: "AGENT_LOST" });
  await opened[Symbol.asyncDispose]();
});

test("an answer of the wrong shape is refused by its place", async (t) => {
  const { session } = openWith(
    t,
    `${sayHello()}; printf '${frame({ id: 1, result: { containers: 3 } })}'; exec cat`,
  );
  await using opened = await session;
  const error = await t.throwsAsync(opened.request("container/list", {}, { signal }), {
    code: "AGENT_GARBAGE",
  });
  t.regex(error?.message ?? "", /answered container\/list with what is no answer: containers /);
});
