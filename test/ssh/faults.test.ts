import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { connect as connectTcp, type Socket } from "node:net";
import test from "ava";
import { connector } from "../../controller/ssh/connect.ts";
import { startRelay, startServer } from "./relay.ts";
import { freePort, hasSshd, makeWorld, run, type sshHost, type World } from "./sshd.ts";

const sshdTest = hasSshd ? test : test.skip;
/** One after the other, because they measure time. */
const timedTest = hasSshd ? test.serial : test.skip;
const signal = AbortSignal.timeout(170_000);

let world: World;
if (hasSshd) {
  test.before(async () => {
    world = await makeWorld();
  });
  test.after.always(() => world[Symbol.asyncDispose]());
}

/** The shared user's way to another address, whose key is the shared sshd's. */
function through(at: { address: string; port: number }, changes: Parameters<typeof sshHost>[1] = {}) {
  return world.host({
    address: at.address,
    port: at.port,
    hostKey: world.sshd.hostKeys.ed25519.fingerprint,
    ...changes,
  });
}

type Behaviour = {
  title: string;
  says: RegExp;
  onConnection: (socket: Socket) => void;
  tries: number;
  connectTimeoutMs?: number;
};
const unreachable: Behaviour[] = [
  {
    title: "says nothing",
    says: /: no greeting within 1 s$/,
    onConnection: () => {},
    tries: 1,
    connectTimeoutMs: 1_000,
  },
  {
    title: "stops after its greeting",
    says: /: no greeting within 1 s$/,
    onConnection: (socket) => socket.write("SSH-2.0-OpenSSH_9.2\r\n"),
    tries: 1,
    connectTimeoutMs: 1_000,
  },
  {
    title: "closes at once",
    says: /: it closes connections before it says what it is$/,
    onConnection: (socket) => socket.end(),
    tries: 6,
  },
  {
    title: "resets at once",
    says: /: it closes connections before it says what it is$/,
    onConnection: (socket) => socket.resetAndDestroy(),
    tries: 6,
  },
  {
    title: "closes after its greeting",
    says: /: sshd closed the connection while it was set up$/,
    onConnection: (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"),
    tries: 1,
  },
  {
    title: "speaks SSH 1",
    says: /: what answers there speaks no SSH 2$/,
    onConnection: (socket) => socket.write("SSH-1.5-OpenSSH_2.0\r\n"),
    tries: 1,
  },
  {
    title: "speaks HTTP",
    says: /: it closes connections before it says what it is$/,
    onConnection: (socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"),
    tries: 6,
  },
];
for (const { title, says, onConnection, tries, connectTimeoutMs = 30_000 } of unreachable)
  timedTest(`a server that ${title} is unreachable, and no longer waited for`, async (t) => {
    await using server = await startServer(onConnection);
    const startedMs = performance.now();
    const error = await t.throwsAsync(world.connect(through(server, { connectTimeoutMs })), {
      code: "HOST_UNREACHABLE",
      message: says,
    });
    t.true(performance.now() - startedMs < 20_000);
    t.regex(error?.message ?? "", /^cannot reach pve1 \(.+@127\.0\.0\.1:\d+\): /);
    t.is(server.connections(), tries);
    await gone(server);
    t.is(server.open(), 0);
  });

/** Waits until no client is connected any more. */
async function gone(server: { open: () => number }): Promise<void> {
  const limit = AbortSignal.timeout(10_000);
  while (server.open() > 0 && !limit.aborted) await new Promise((resolve) => setImmediate(resolve));
}

sshdTest("a port that nothing listens on, and a name without an address, are said to be that", async (t) => {
  await t.throwsAsync(world.connect(through(await freePort())), {
    code: "HOST_UNREACHABLE",
    message: /: connection refused$/,
  });
  await t.throwsAsync(world.connect(through({ address: "no-such-host.invalid", port: 22 })), {
    code: "HOST_UNREACHABLE",
    message: /: its name has no address$/,
  });
});

sshdTest("an sshd with nothing in common is named with what is missing", async (t) => {
  await using old = await makeWorld({ options: ["Ciphers=aes128-cbc"] });
  await t.throwsAsync(old.connect(), { code: "HOST_UNREACHABLE", message: /: no matching cipher$/ });
});

timedTest(
  "a link that dies is noticed within six seconds, by a program that waits and by what is opened",
  async (t) => {
    await using relay = await startRelay(world.sshd);
    await using transport = await world.connect(through(relay));
    const channel = await transport.openAgent(["cat"], { signal });
    relay.cut();
    const cutMs = performance.now();
    const opening = transport.openAgent(["true"], { signal });
    const uploading = transport.upload(world.key.path, world.home.file("never"), { signal });
    const lost = { code: "CONNECTION_LOST", message: /has not answered for 4 s: the link is dead$/ };
    await Promise.all([t.throwsAsync(opening, lost), t.throwsAsync(uploading, lost)]);
    t.is((await channel.exited).error?.code, "CONNECTION_LOST");
    t.true(performance.now() - cutMs < 6_000, `${performance.now() - cutMs} ms`);
  },
);

timedTest("a link that dies in the middle of an upload is noticed within six seconds", async (t) => {
  await using relay = await startRelay(world.sshd, { bytesPerSecond: 4_000_000 });
  await using transport = await world.connect(through(relay));
  await writeFile(world.home.file("large"), Buffer.alloc(40_000_000));
  let cutMs = 0;
  await t.throwsAsync(
    transport.upload(world.home.file("large"), world.home.file("part"), {
      signal,
      onProgress: (sentBytes) => {
        if (cutMs > 0 || sentBytes < 1_000_000) return;
        relay.cut();
        cutMs = performance.now();
      },
    }),
    { code: "CONNECTION_LOST" },
  );
  t.true(cutMs > 0 && performance.now() - cutMs < 6_000, `${performance.now() - cutMs} ms`);
});

sshdTest("a slow upload is not taken for a dead link", async (t) => {
  await using relay = await startRelay(world.sshd, { bytesPerSecond: 500_000 });
  await using transport = await world.connect(through(relay));
  await writeFile(world.home.file("slow"), Buffer.alloc(5_000_000));
  const startedMs = performance.now();
  t.true(await transport.upload(world.home.file("slow"), world.home.file("arrived"), { signal }));
  t.true(performance.now() - startedMs > 8_000, "the relay was slow");
});

sshdTest("an idle connection lives on", async (t) => {
  await using transport = await world.connect();
  const { stdout } = await run(transport, ["sh", "-c", "sleep 6; echo still here"]);
  t.is(stdout, "still here\n");
});

sshdTest("of a hundred connections to one sshd with its own limits none is lost", async (t) => {
  await using crowded = await makeWorld();
  const host = crowded.host();
  const connect = connector({ hosts: [host], home: crowded.home.path, environment: {} });
  const transports = await Promise.all(Array.from({ length: 100 }, () => connect(host, { signal })));
  t.is(transports.length, 100);
  t.is((await crowded.sshd.sessions()).length, 100);
  await Promise.all(transports.map((transport) => transport[Symbol.asyncDispose]()));
});

sshdTest("a connection that MaxStartups drops is tried again until it is let in", async (t) => {
  await using small = await makeWorld({ options: ["MaxStartups=1"] });
  const squatter = connectTcp({ host: small.sshd.address, port: small.sshd.port });
  await once(squatter, "data"); // its greeting: the one place is taken
  const connecting = small.connect();
  const dropped = async (): Promise<void> => {
    const limit = AbortSignal.timeout(30_000);
    while (!/drop connection/.test(small.sshd.log())) {
      limit.throwIfAborted();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await dropped();
  squatter.destroy();
  await using transport = await connecting;
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
});

sshdTest("authentication that failed is not tried again", async (t) => {
  await using strict = await makeWorld();
  const stranger = await strict.home.key("stranger");
  await t.throwsAsync(strict.connect(strict.host({ identityFiles: [stranger.path] })), {
    code: "AUTH_FAILED",
  });
  t.is(strict.sshd.log().match(/Connection from/g)?.length, 1);
});

const phases: { title: string; onConnection: (socket: Socket) => void }[] = [
  { title: "a silent server", onConnection: () => {} },
  { title: "the key exchange", onConnection: (socket) => socket.write("SSH-2.0-OpenSSH_9.2\r\n") },
  { title: "the wait before another try", onConnection: (socket) => socket.end() },
];
for (const { title, onConnection } of phases)
  timedTest(`an abort during ${title} ends at once and leaves no socket`, async (t) => {
    const controller = new AbortController();
    await using server = await startServer((socket) => {
      onConnection(socket);
      setImmediate(() => controller.abort());
    });
    const startedMs = performance.now();
    await t.throwsAsync(world.connect(through(server), { signal: controller.signal }));
    t.true(performance.now() - startedMs < 5_000);
    await gone(server);
    t.is(server.open(), 0);
  });

sshdTest("an abort before it begins connects nothing", async (t) => {
  await using server = await startServer(() => {});
  await t.throwsAsync(world.connect(through(server), { signal: AbortSignal.abort() }));
  t.is(server.connections(), 0);
});

sshdTest("an abort in the middle of an upload ends it, and the connection goes on", async (t) => {
  await using relay = await startRelay(world.sshd, { bytesPerSecond: 1_000_000 });
  await using transport = await world.connect(through(relay));
  await writeFile(world.home.file("aborted"), Buffer.alloc(20_000_000));
  const controller = new AbortController();
  const uploading = transport.upload(world.home.file("aborted"), world.home.file("cut"), {
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  await t.throwsAsync(uploading);
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
});

sshdTest("an abort while a program is opened leaves no program", async (t) => {
  await using transport = await world.connect();
  const controller = new AbortController();
  const opening = transport.openAgent(["cat"], { signal: controller.signal });
  controller.abort();
  await t.throwsAsync(opening);
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
});

sshdTest("a closed connection leaves no session on the host", async (t) => {
  await using own = await makeWorld();
  const transport = await own.connect();
  await transport.openAgent(["cat"], { signal });
  t.is((await own.sshd.sessions()).length, 1);
  await transport[Symbol.asyncDispose]();
  const limit = AbortSignal.timeout(10_000);
  while ((await own.sshd.sessions()).length > 0) limit.throwIfAborted();
  t.pass();
});
