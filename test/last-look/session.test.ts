import { existsSync, readFileSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { limits } from "../../shared/protocol.ts";
import { dist } from "../dist.ts";
import { frame } from "../protocol/recorded.ts";
import { type Client, hello, openClient } from "./client.ts";

/*
 * A session that finds the host as the last look left it is answered by a small program, without Node. Whoever speaks
 * with it must not see a difference.
 */

const program = join(dist, "nexcage-agent");
const obstacle = existsSync(join(dist, "lib/nexcage/nexcage-oci"))
  ? undefined
  : "the C programs are not built here";

const request = (id: number | string, method: string, params: object = {}): string =>
  frame({ id, method, params } as object);

/** The door that knows the last look, and the one that does not: to Node alone any other option goes. */
const doors = { quick: [], node: ["--log-level", "warn"] };

type Agent = {
  folder: string;
  lastLook: string;
  open(door?: keyof typeof doors, ...more: string[]): Client;
  /** Which program is at the other end just now. */
  answering(client: Client): "native" | "Node";
};

function agentTest(title: string, body: (t: ExecutionContext, agent: Agent) => Promise<void>): void {
  if (obstacle !== undefined) {
    process.stderr.write(`skipped, ${obstacle}: ${title}\n`);
    test.skip(title, () => {});
    return;
  }
  test.serial(title, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "nexcage-last-look-"));
    const agent: Agent = {
      folder,
      lastLook: join(folder, ".last-look"),
      open: (door = "quick", ...more) =>
        openClient(program, ["serve", "--stdio", "--root", folder, ...doors[door], ...more]),
      answering({ process: { pid } }) {
        const isNode = readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("nexcage-agent.cjs");
        return isNode ? "Node" : "native";
      },
    };
    try {
      await body(t, agent);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

/** A session that only looks; what it was told, and by whom. */
async function look({ open, answering }: Agent, door: keyof typeof doors = "quick") {
  const client = open(door);
  const told = [await client.ask("hello", hello), await client.ask("container/list")];
  const by = answering(client);
  const { exitCode, stderr } = await client.close();
  return { told, by, exitCode, stderr };
}

agentTest("the second look is answered without Node, in the same words", async (t, agent) => {
  const first = await look(agent);
  t.is(first.by, "Node");
  const second = await look(agent);
  t.is(second.by, "native");
  t.deepEqual({ ...second, by: "" }, { ...first, by: "" });
});

agentTest("who asks for more than a look goes on with Node, in the same session", async (t, agent) => {
  await look(agent);
  const client = agent.open();
  await client.ask("hello", hello);
  t.deepEqual(await client.ask("container/list"), { containers: [] });
  t.is(agent.answering(client), "native");
  t.deepEqual(await client.ask("image/missing", { digests: [] }), { digests: [] });
  t.is(agent.answering(client), "Node");
  t.deepEqual(await client.ask("container/list"), { containers: [] });
  t.deepEqual(await client.close(), { exitCode: 0, stderr: "" });
});

agentTest(
  "a frame that comes byte by byte, and frames that come together, are read alike",
  async (t, agent) => {
    const { told } = await look(agent);
    const slow = agent.open();
    for (const byte of request(0, "hello", hello) + request(1, "container/list")) {
      slow.write(byte);
      await new Promise(setImmediate);
    }
    t.deepEqual([(await slow.answer(0)).result, (await slow.answer(1)).result], told);
    t.is(agent.answering(slow), "native");
    t.is((await slow.close()).exitCode, 0);

    const together = agent.open();
    const heartbeat = frame({ method: "heartbeat", params: {} });
    const unlock = request(2, "fleet/unlock", { fleet: "shop" });
    together.write(
      request(0, "hello", hello) + heartbeat + request(1, "container/list") + unlock + heartbeat,
    );
    t.deepEqual([(await together.answer(0)).result, (await together.answer(1)).result], told);
    t.deepEqual((await together.answer(2)).result, {});
    t.is(agent.answering(together), "Node");
    t.is((await together.close()).exitCode, 0);
  },
);

agentTest("a request that is cut between the two programs is whole for the second one", async (t, agent) => {
  await look(agent);
  const client = agent.open();
  await client.ask("hello", hello);
  // More than the first one would hold: it goes on with the header and what has come of the body.
  const digests = Array.from({ length: 4_000 }, (_, index) => `sha256:${String(index).padStart(64, "0")}`);
  client.write(request(1, "image/missing", { digests }));
  t.deepEqual((await client.answer(1)).result, { digests });
  t.deepEqual(await client.close(), { exitCode: 0, stderr: "" });
});

const holder = {
  user: "root",
  host: "ws",
  pid: 1,
  since: new Date().toISOString(),
  command: 'fleet apply "\u00e4"',
};
const locked = { fleet: "shop", holder };

agentTest("a session takes its fleet's lock, looks and gives it back without Node", async (t, agent) => {
  await look(agent);
  const file = join(agent.folder, ".lock/fleet-shop");
  const client = agent.open();
  await client.ask("hello", hello);
  t.deepEqual(await client.ask("fleet/lock", locked), {});
  t.deepEqual(JSON.parse(readFileSync(file, "utf8")), holder);
  t.deepEqual(await client.ask("container/list"), { containers: [] });

  const other = agent.open();
  await other.ask("hello", hello);
  await t.throwsAsync(other.ask("fleet/lock", locked), { message: /held by root@ws \(pid 1\)/ });
  t.deepEqual(await client.ask("fleet/unlock", { fleet: "shop" }), {});
  t.is(agent.answering(client), "native");
  t.false(existsSync(file));
  t.deepEqual(await other.ask("fleet/lock", locked), {});
  await Promise.all([client.close(), other.close()]);
  t.false(existsSync(file));
});

agentTest("the end of the session frees the lock, also where Node never came", async (t, agent) => {
  await look(agent);
  const client = agent.open();
  await client.ask("hello", hello);
  await client.ask("fleet/lock", locked);
  t.is(agent.answering(client), "native");
  t.deepEqual(await client.close(), { exitCode: 0, stderr: "" });
  t.false(existsSync(join(agent.folder, ".lock/fleet-shop")));
});

agentTest(
  "the lock is held without a gap when Node goes on, and free when Node is killed",
  async (t, agent) => {
    await look(agent);
    const client = agent.open();
    await client.ask("hello", hello);
    await client.ask("fleet/lock", locked);
    t.is(agent.answering(client), "native");
    let isOver = false;
    // Another that tries all the while: it must not get it.
    const other = agent.open();
    await other.ask("hello", hello);
    const refused = () => t.throwsAsync(other.ask("fleet/lock", locked), { message: /held by root@ws/ });
    await refused();
    const tries = (async () => {
      while (!isOver) await refused();
    })();
    t.deepEqual(await client.ask("image/missing", { digests: [] }), { digests: [] });
    t.is(agent.answering(client), "Node");
    t.deepEqual(await client.ask("fleet/lock", locked), {}, "its own");
    isOver = true;
    await tries;
    client.process.kill("SIGKILL");
    await client.close();
    t.deepEqual(await other.ask("fleet/lock", locked), {});
    await other.close();
  },
);

agentTest("a fleet whose name is no file's is locked by Node", async (t, agent) => {
  await look(agent);
  for (const fleet of ["../shop", "shop\0x"]) {
    const client = agent.open();
    await client.ask("hello", hello);
    t.deepEqual(await client.ask("fleet/lock", { fleet, holder }), {});
    t.is(agent.answering(client), "Node");
    await client.close();
  }
});

/** The body of a frame, in words of its own. */
const framed = (body: string): string => `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const list = '{"jsonrpc":"2.0","id":1,"method":"container/list","params":{}}';

const mistakes: { title: string; bytes: string; isGreeted?: boolean }[] = [
  { title: "a look before hello", bytes: request(1, "container/list"), isGreeted: false },
  { title: "no frame before hello", bytes: "GET / HTTP/1.1\r\n\r\n", isGreeted: false },
  {
    title: "a first hello of an older minor",
    bytes: request(1, "hello", { ...hello, protocol: "1.2" }) + request(2, "container/list"),
    isGreeted: false,
  },
  { title: "a hello that says not who", bytes: request(1, "hello", { protocol: hello.protocol }) },
  { title: "a frame with something behind its JSON", bytes: framed(`${list}\0xx`) },
  { title: "a frame with a comment", bytes: framed(`/* look */${list}`) },
  { title: "a heartbeat that wants an answer", bytes: request(1, "heartbeat") },
  {
    title: "a holder that is nobody",
    bytes: request(1, "fleet/lock", { fleet: "shop", holder: { pid: 1 } }),
  },
  { title: "what is no frame", bytes: "GET / HTTP/1.1\r\n\r\n" },
  { title: "a frame over the limit", bytes: `Content-Length: ${limits.frameBytes + 1}\r\n\r\n` },
  { title: "a header without an end", bytes: `Content-Length: ${"1".repeat(80)}` },
  { title: "a second header", bytes: "Content-Length: 2\r\nContent-Type: x\r\n\r\n{}" },
  { title: "a frame that is no JSON", bytes: "Content-Length: 5\r\n\r\n{nope" },
  { title: "a frame that is no request", bytes: "Content-Length: 4\r\n\r\ntrue" },
  { title: "a request that nobody knows", bytes: request(1, "container/dance") },
  { title: "an id that is a word", bytes: request("one", "container/list") },
  { title: "a second hello", bytes: request(1, "hello", hello) },
  { title: "a hello of another major", bytes: request(1, "hello", { ...hello, protocol: "2.0" }) },
  { title: "a hello of an older minor", bytes: request(1, "hello", { ...hello, protocol: "1.2" }) },
];
for (const { title, bytes, isGreeted = true } of mistakes)
  agentTest(`${title} is told at both doors in the same words`, async (t, agent) => {
    await look(agent);
    const [quick, node] = await Promise.all(
      (["quick", "node"] as const).map(async (door) => {
        const client = agent.open(door);
        let said = "";
        client.process.stdout.on("data", (data: Buffer) => {
          said += data;
        });
        if (isGreeted) await client.ask("hello", hello);
        client.write(bytes + request(99, "container/list"));
        await client.answer(99).catch(() => {}); // it may have ended by then
        return { ...(await client.close()), said };
      }),
    );
    t.deepEqual(quick, node);
  });

agentTest("the end of the session ends it, whoever answers", async (t, agent) => {
  await look(agent);
  const client = agent.open();
  t.deepEqual(await client.close(), { exitCode: 0, stderr: "" });
});

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
  agentTest(`${signal} ends a session with its lock, whoever answers`, async (t, agent) => {
    await look(agent);
    for (const door of ["quick", "node"] as const) {
      const client = agent.open(door);
      await client.ask("hello", hello);
      await client.ask("fleet/lock", locked);
      client.process.kill(signal);
      t.deepEqual(await client.close(), { exitCode: 0, stderr: "" });
      t.false(existsSync(join(agent.folder, ".lock/fleet-shop")), door);
    }
  });

agentTest("however the command line is spelled, Node goes on with it", async (t, agent) => {
  await look(agent);
  const root = ["--root", agent.folder];
  for (const words of [
    [...root, "serve", "--stdio"],
    ["serve", "--stdio=true", ...root],
    ["serve", `--root=${agent.folder}`, "--stdio", "--"],
  ]) {
    const client = openClient(program, words);
    await client.ask("hello", hello);
    t.is(agent.answering(client), "native");
    t.deepEqual(await client.ask("image/missing", { digests: [] }), { digests: [] }, words.join(" "));
    t.is((await client.close()).exitCode, 0);
  }
});

agentTest("what was seen under other options is not kept", async (t, agent) => {
  await look(agent);
  await rm(agent.lastLook);
  await look(agent, "node");
  t.false(existsSync(agent.lastLook));
});

agentTest("an agent in a package's layout finds its own last look", async (t, agent) => {
  const installed = join(agent.folder, "usr/bin/nexcage-agent");
  await mkdir(join(agent.folder, "usr/bin"), { recursive: true });
  await copyFile(program, installed);
  await symlink(join(dist, "lib"), join(agent.folder, "usr/lib"));
  for (const by of ["Node", "native"] as const) {
    const client = openClient(installed, ["serve", "--stdio", "--root", agent.folder]);
    await client.ask("hello", hello);
    await client.ask("container/list");
    t.is(agent.answering(client), by);
    await client.close();
  }
});

agentTest("options that could change an answer go to Node", async (t, agent) => {
  await look(agent);
  for (const words of [
    ["--log-level", "debug"],
    ["--lock-timeout", "1s"],
    ["--log-format", "json"],
  ]) {
    const client = agent.open("quick", ...words);
    await client.ask("hello", hello);
    t.is(agent.answering(client), "Node", words.join(" "));
    await client.close();
  }
});

const files: { title: string; spoil: (file: string) => Promise<void> }[] = [
  { title: "that others may write", spoil: (file) => chmod(file, 0o620) },
  {
    title: "that is a link",
    async spoil(file) {
      await rename(file, `${file}.there`);
      await symlink(`${file}.there`, file);
    },
  },
  { title: "that is empty", spoil: (file) => writeFile(file, "") },
  { title: "that is cut off", spoil: (file) => edit(file, (text) => text.slice(0, -20)) },
  {
    title: "with a length of nothing",
    spoil: (file) => edit(file, (text) => text.replace(/^text \S+/m, "text")),
  },
  {
    title: "with a length past its end",
    spoil: (file) => edit(file, (text) => text.replace(/^list \d+/m, "list 99999")),
  },
  {
    title: "with a length past all ends",
    spoil: (file) => edit(file, (text) => text.replace(/^list \d+/m, "list 9223372036854775807")),
  },
  {
    title: "with a word of a newer agent",
    spoil: (file) => edit(file, (text) => `weather 4 here\nfine\n${text}`),
  },
  {
    title: "without the answer",
    spoil: (file) => edit(file, (text) => text.slice(0, text.indexOf("\nlist ") + 1)),
  },
  {
    title: "of an agent in another folder",
    spoil: (file) => edit(file, (text) => text.replace(/^agent -1 [^:]*/, "agent -1 /opt/other")),
  },
  {
    title: "of an agent with other folders",
    spoil: (file) => edit(file, (text) => text.replace(/^(agent -1 .*:).*/, "$1/run/other")),
  },
  {
    title: "of a host of another name",
    spoil: (file) => edit(file, (text) => text.replace(/^(system \d+) .*/m, "$1 other")),
  },
];
async function edit(file: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(file, "utf8");
  const changed = change(text);
  if (changed === text) throw new Error("nothing was changed");
  await writeFile(file, changed);
}
for (const { title, spoil } of files)
  agentTest(`a file ${title} is passed over, and written again`, async (t, agent) => {
    const first = await look(agent);
    await spoil(agent.lastLook);
    const second = await look(agent);
    t.is(second.by, "Node");
    t.deepEqual(second, first);
    t.is((await look(agent)).by, "native");
  });

agentTest(
  "what an agent that was killed has left of the file does not keep others from writing it",
  async (t, agent) => {
    await writeFile(`${agent.lastLook}.new`, "half");
    t.is((await look(agent)).by, "Node");
    t.false(existsSync(agent.lastLook), "somebody may be at it");
    const { utimes } = await import("node:fs/promises");
    await utimes(`${agent.lastLook}.new`, 0, 0);
    await look(agent);
    await look(agent);
    t.is((await look(agent)).by, "native");
  },
);
