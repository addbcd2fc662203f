import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { stringify } from "yaml";
import { dist } from "../dist.ts";
import { makeBed } from "../e2e/bed.ts";
import { testUnless } from "../e2e/host-test.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import {
  type Call,
  frame,
  frameReader,
  lasting,
  type Message,
  type Recorded,
  readRecorded,
  recordedProtocols,
} from "./recorded.ts";
import type { Asked } from "./replay.ts";

/*
 * Programs of two versions, against each other. The other one is no build of today's sources with something left out,
 * which would have today's mistakes too, but what a build of that time has really said: see `record.ts`.
 */

/** What nexcage says today and did not then, and an older agent may pass over. */
const mayBePassedOver: Record<string, string[]> = {};

for (const protocol of recordedProtocols) {
  test(`this nexcage plans, applies and changes a fleet with an agent of protocol ${protocol}, as its own did`, async (t) => {
    t.timeout(120_000);
    const recorded = readRecorded(protocol);
    const folder = await makeFolder(t, recorded);
    for (const [index, { words, containers, exitCode, calls }] of recorded.sessions.entries()) {
      const file = join(folder, `asked-${index}`);
      const agent = [process.execPath, join(import.meta.dirname, "replay.ts"), protocol, index, file];
      await writeFile(join(folder, "agent"), `#!/bin/sh\nexec ${agent.join(" ")}\n`);
      await chmod(join(folder, "agent"), 0o755);
      await writeFleet(folder, containers);
      const ended = await execa(join(dist, "nexcage"), words, {
        cwd: folder,
        env: { HOME: folder, XDG_CACHE_HOME: join(folder, "cache"), PATH: process.env.PATH ?? "" },
        extendEnv: false,
        reject: false,
        stdin: "ignore",
      });
      const about = `${words.join(" ")}:\n${ended.stdout}\n${ended.stderr}`;
      const asked = (await readFile(file, "utf8"))
        .trimEnd()
        .split("\n")
        .map((line): Asked => JSON.parse(line));
      t.deepEqual(
        asked.filter((one) => !one.known),
        [],
        `what it does not know is not asked: ${about}`,
      );
      for (const { method, new: fresh } of asked)
        t.deepEqual(
          fresh.filter((key) => !mayBePassedOver[method]?.includes(key)),
          [],
          `parameters of ${method} that it passes over: ${about}`,
        );
      t.deepEqual(changesOf(asked), changesOf(calls), `the same is done: ${about}`);
      t.is(ended.exitCode, exitCode, about);
    }
  });

  testUnless(
    process.arch === "x64" ? whyNoHosts() : "the recorded program is for x64",
    `a nexcage of protocol ${protocol} finds all in this agent's answers that its own agent told it`,
    async (t) => {
      t.timeout(120_000);
      await using bed = await makeBed(["node1"]);
      const recorded = readRecorded(protocol);
      for (const { words, calls } of recorded.sessions) {
        const config = join(bed.hosts.dir, "ssh_config");
        await using agent = startAgent([
          "-F",
          config,
          "node1",
          join(dist, "nexcage-agent"),
          "serve",
          "--stdio",
        ]);
        let upload: unknown;
        const later: Promise<void>[] = [];
        for (const call of calls) {
          const params = call.params.upload === undefined ? call.params : { ...call.params, upload };
          const answered = agent.ask(call.method, params).then((answer) => {
            compare(t, { call, answer, about: `${words.join(" ")}: ${call.method}` });
            return answer;
          });
          // Its input comes before it ends.
          if (call.method === "container/exec") later.push(answered.then(() => {}));
          else if (call.method === "image/begin") {
            ({ upload } = (await answered).result as { upload: string });
            await agent.ask("image/chunk", { upload, offset: 0, data: recorded.image });
          } else await answered;
        }
        await Promise.all(later);
      }
    },
  );
}

async function makeFolder(t: ExecutionContext, { image }: Recorded): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "nexcage-older-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "image.tar.gz"), Buffer.from(image, "base64"));
  const hosts = { node1: { connection: "local", agent: { path: join(folder, "agent") } } };
  const inventory = { apiVersion: "nexcage/v1", kind: "Inventory", hosts };
  await writeFile(join(folder, "inventory.yaml"), stringify(inventory));
  return folder;
}

async function writeFleet(folder: string, containers: Record<string, object>): Promise<void> {
  const withRootfs = Object.entries(containers).map(([name, one]) => [
    name,
    { rootfs: "./image.tar.gz", ...one },
  ]);
  const fleet = { apiVersion: "nexcage/v1", kind: "Fleet", name: "shop" };
  const text = stringify({ ...fleet, containers: Object.fromEntries(withRootfs) });
  await writeFile(join(folder, "fleet.yaml"), text);
}

/** What was done to which container, in any order. */
const changesOf = (calls: { method: string; params: Record<string, unknown> }[]): unknown[] =>
  calls
    .filter(({ params }) => params.operationId !== undefined)
    .map(({ method, params }) => `${method} ${JSON.stringify(lasting(params))}`)
    .sort();

/** A session with an agent, spoken to in frames as they are on the wire. */
function startAgent(words: string[]) {
  const child = spawn("ssh", words, { stdio: ["pipe", "pipe", "inherit"] });
  const read = frameReader();
  const waiting = new Map<number, { resolve(answer: Message): void; told: NonNullable<Call["told"]> }>();
  child.stdout.on("data", (bytes: Buffer) => {
    for (const { id, method, params = {}, ...answer } of read(bytes)) {
      if (method !== undefined) for (const { told } of waiting.values()) told.push({ method, params });
      else if (id !== undefined) waiting.get(id)?.resolve({ ...answer });
    }
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let last = 0;
  return {
    async ask(method: string, params: object): Promise<Message & Pick<Call, "told">> {
      const id = last++;
      const { promise, resolve } = Promise.withResolvers<Message>();
      const told: NonNullable<Call["told"]> = [];
      waiting.set(id, { resolve, told });
      // The input of an exec goes along with it: one that has ended meanwhile takes none.
      if (method === "container/exec") child.stdin.cork();
      child.stdin.write(frame({ id, method, params }));
      if (method !== "container/exec") child.stdin.uncork();
      const gone = ended.then((): Message => ({ error: { code: 0, message: "the agent has ended" } }));
      const answer = await Promise.race([promise, gone]);
      waiting.delete(id);
      return { ...answer, told };
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}

/** What is no promise to an older nexcage: of its own run, or of this machine. */
const ofTheRun = new Set([
  ...[
    "pid",
    "io.nexcage.created",
    "io.nexcage.started",
    "io.nexcage.finished",
    "createdAt",
    "startedAt",
    "finishedAt",
    "time",
  ],
  ...["agentVersion", "build", "protocol", "kernel", "upload", "path", "stream", "operationId"],
]);

/** Each thing that it was told then it is told now; what is new beside it, it passes over. */
function compare(
  t: ExecutionContext,
  { call, answer, about }: { call: Call; answer: Message & Pick<Call, "told">; about: string },
): void {
  const { result, error } = answer;
  t.is(error?.data?.code, call.error?.data?.code, `${about}: ${error?.message}`);
  t.deepEqual(partOf(result, call.result), stable(call.result), about);
  // A spec is strict: an older nexcage takes no word in it that it does not know.
  t.deepEqual(specsIn(result), specsIn(call.result), about);
  const lines = (told: Call["told"] = []) =>
    call.method === "exec/input" ? [] : told.filter(({ method }) => method.startsWith("stream"));
  t.deepEqual(stable(lines(answer.told)), stable(lines(call.told)), about);
}

/** With the kind in place of what is of the run. */
function stable(value: unknown, key = ""): unknown {
  if (ofTheRun.has(key)) return typeof value === "string" && value !== "" ? "some text" : typeof value;
  if (Array.isArray(value)) return value.map((one) => stable(one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, stable(one, name)]));
}

/** Of `now` what `then` has too. */
function partOf(now: unknown, then: unknown, key = ""): unknown {
  if (Array.isArray(now) && Array.isArray(then)) {
    // Of backends there are more now.
    const names = then.flatMap((one) => (typeof one?.name === "string" ? [one.name] : []));
    const known = now.filter((one) => names.length === 0 || names.includes(one?.name));
    return known.map((one, index) => partOf(one, index < then.length ? then[index] : one));
  }
  if (typeof now !== "object" || now === null || typeof then !== "object" || then === null)
    return stable(now, key);
  return Object.fromEntries(
    Object.entries(now).flatMap(([name, one]) =>
      name in then ? [[name, partOf(one, (then as Record<string, unknown>)[name], name)]] : [],
    ),
  );
}

function specsIn(value: unknown): unknown[] {
  if (Array.isArray(value)) return value.flatMap(specsIn);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => (key === "spec" ? [one] : specsIn(one)));
}

test("each recording is of the protocol that it says, and the one before this is there", async (t) => {
  for (const protocol of recordedProtocols) {
    const { sessions, ...head } = readRecorded(protocol);
    t.is(head.protocol, protocol);
    t.true(sessions.length > 10);
    t.like(sessions[0]?.calls[0], { method: "hello", result: { protocol } });
  }
  const { protocolVersion } = await import("../../shared/protocol.ts");
  const [major, minor] = protocolVersion.split(".");
  t.true(
    recordedProtocols.includes(`${major}.${Number(minor) - 1}`),
    "record one before the version goes up",
  );
});
