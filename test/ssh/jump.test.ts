import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { connector } from "../../controller/ssh/connect.ts";
import { startBlackHole, startRelay } from "./relay.ts";
import { freePort, hasSshd, makeWorld, run, type Sshd, sshHost, startSshd, type World } from "./sshd.ts";

const sshdTest = hasSshd ? test : test.skip;
/** By itself, because it measures time. */
const timedTest = hasSshd ? test.serial : test.skip;
const signal = AbortSignal.timeout(170_000);

/** A target, and a jump host that knows the same key; both are known. */
async function makeRoute(
  jumpOptions: { options?: string[] } = {},
): Promise<AsyncDisposable & { world: World; jump: Sshd; target: Sshd; via: string }> {
  await using undo = new AsyncDisposableStack();
  const world = undo.use(await makeWorld());
  const jump = undo.use(await startSshd({ authorizedKeys: [world.key.publicLine], ...jumpOptions }));
  await world.home.write(".ssh/known_hosts", `${world.sshd.knownHostsLine()}\n${jump.knownHostsLine()}\n`);
  const resources = undo.move();
  return {
    world,
    jump,
    target: world.sshd,
    via: `${jump.address}:${jump.port}`,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** The condition, or an error after ten seconds. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  const limit = AbortSignal.timeout(10_000);
  while (!(await condition())) limit.throwIfAborted();
}

sshdTest("a host is reached through a jump host, each with its own key verified", async (t) => {
  await using route = await makeRoute();
  await using transport = await route.world.connect(route.world.host({ proxyJump: route.via }));
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
  const content = route.world.key.path;
  t.true(await transport.upload(content, route.world.home.file("copy"), { signal }));
  t.is((await route.jump.sessions()).length, 1);
});

sshdTest("two jump hosts in a row are gone through in their order", async (t) => {
  await using route = await makeRoute();
  await using second = await startSshd({ authorizedKeys: [route.world.key.publicLine] });
  const known = [route.target, route.jump, second].map((sshd) => sshd.knownHostsLine());
  await route.world.home.write(".ssh/known_hosts", `${known.join("\n")}\n`);
  const proxyJump = `${route.via},${second.address}:${second.port}`;
  await using transport = await route.world.connect(route.world.host({ proxyJump }));
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
  t.is((await route.jump.sessions()).length, 1);
  t.is((await second.sessions()).length, 1);
});

sshdTest("ProxyJump of ~/.ssh/config is followed", async (t) => {
  await using route = await makeRoute();
  const { address, port } = route.jump;
  await route.world.home.write(
    ".ssh/config",
    `Host ${route.target.address}\n ProxyJump bastion\nHost bastion\n HostName ${address}\n Port ${port}\n`,
  );
  await using transport = await route.world.connect();
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
  t.is((await route.jump.sessions()).length, 1);
});

sshdTest("an unknown key of the jump host stops the way there, and the target hears nothing", async (t) => {
  await using route = await makeRoute();
  await route.world.home.write(".ssh/known_hosts", `${route.target.knownHostsLine()}\n`);
  await t.throwsAsync(route.world.connect(route.world.host({ proxyJump: route.via })), {
    code: "HOST_KEY_UNKNOWN",
    message: new RegExp(
      `^${route.jump.address} showed host key ${escapePattern(route.jump.hostKeys.ed25519.fingerprint)}`,
    ),
  });
  t.notRegex(route.target.log(), /Connection from/);
});

sshdTest("a changed key of the jump host, and of the target behind it, is told apart", async (t) => {
  await using route = await makeRoute();
  const { world, jump, target } = route;
  const wrong = (sshd: Sshd): string => `[${sshd.address}]:${sshd.port} ${world.key.publicLine}`;
  const host = world.host({ proxyJump: route.via });
  await world.home.write(".ssh/known_hosts", `${wrong(jump)}\n${target.knownHostsLine()}\n`);
  await t.throwsAsync(world.connect(host), {
    code: "HOST_KEY_CHANGED",
    message: new RegExp(`^${jump.address} showed`),
  });
  await world.home.write(".ssh/known_hosts", `${jump.knownHostsLine()}\n${wrong(target)}\n`);
  await t.throwsAsync(world.connect(host), { code: "HOST_KEY_CHANGED", message: /^pve1 showed/ });
});

function escapePattern(text: string): string {
  return text.replaceAll(/[+/.]/g, "\\$&");
}

sshdTest("a hundred hosts behind one jump host share its connection, and the last closes it", async (t) => {
  await using route = await makeRoute();
  const { world, jump } = route;
  const host = world.host({ proxyJump: route.via });
  const connect = connector({ hosts: [host], home: world.home.path, environment: {} });
  const count = 100;
  const transports = await Promise.all(Array.from({ length: count }, () => connect(host, { signal })));
  t.is((await jump.sessions()).length, 1);
  const [last, ...others] = transports;
  await Promise.all(others.map((transport) => transport[Symbol.asyncDispose]()));
  t.is((await jump.sessions()).length, 1);
  if (last === undefined) return t.fail();
  t.is((await run(last, ["echo", "hello"])).stdout, "hello\n");
  await last[Symbol.asyncDispose]();
  await until(async () => (await jump.sessions()).length === 0);

  await using again = await connect(host, { signal });
  t.is((await run(again, ["echo", "hello"])).stdout, "hello\n");
});

sshdTest("what the jump host cannot reach, or may not, is said with its name", async (t) => {
  await using route = await makeRoute();
  const nowhere = sshHost(await freePort(), { identityFiles: [route.world.key.path], proxyJump: route.via });
  await t.throwsAsync(route.world.connect(nowhere), {
    code: "HOST_UNREACHABLE",
    message: `cannot reach pve1 through ${route.jump.address}: Connection refused`,
  });
  await using closed = await makeRoute({ options: ["AllowTcpForwarding=no"] });
  await t.throwsAsync(closed.world.connect(closed.world.host({ proxyJump: closed.via })), {
    code: "HOST_UNREACHABLE",
    message: `cannot reach pve1 through ${closed.jump.address}: open failed`,
  });
});

sshdTest("a target that dies behind a living jump host is a lost connection", async (t) => {
  await using route = await makeRoute();
  await using transport = await route.world.connect(route.world.host({ proxyJump: route.via }));
  const channel = await transport.openAgent(["cat"], { signal });
  for (const session of await route.target.sessions()) process.kill(session, "SIGKILL");
  const { error } = await channel.exited;
  t.is(error?.code, "CONNECTION_LOST");
  t.regex(error?.message ?? "", /connection to pve1 /);
});

sshdTest("a jump host that dies is named by the hosts behind it", async (t) => {
  await using route = await makeRoute();
  await using transport = await route.world.connect(route.world.host({ proxyJump: route.via }));
  const channel = await transport.openAgent(["cat"], { signal });
  for (const session of await route.jump.sessions()) process.kill(session, "SIGKILL");
  const { error } = await channel.exited;
  t.is(error?.code, "CONNECTION_LOST");
  t.regex(error?.message ?? "", new RegExp(`connection to ${route.jump.address} `));
});

timedTest("a dead link to the jump host, or behind it, is noticed within six seconds", async (t) => {
  await using route = await makeRoute();
  const { world, jump, target } = route;
  await using before = await startRelay(jump);
  await using behind = await startRelay(target);
  const line = (at: { address: string; port: number }, sshd: Sshd): string =>
    `[${at.address}]:${at.port} ${sshd.hostKeys.ed25519.publicLine}`;
  await world.home.write(
    ".ssh/known_hosts",
    [line(before, jump), line(behind, target), jump.knownHostsLine(), target.knownHostsLine(), ""].join("\n"),
  );
  await using first = await world.connect(world.host({ proxyJump: `${before.address}:${before.port}` }));
  await using second = await world.connect(
    world.host({ address: behind.address, port: behind.port, proxyJump: route.via }),
  );
  const channels = await Promise.all(
    [first, second].map((transport) => transport.openAgent(["cat"], { signal })),
  );
  before.cut();
  behind.cut();
  const cutMs = performance.now();
  const exits = await Promise.all(channels.map(({ exited }) => exited));
  t.true(performance.now() - cutMs < 6_000, `${performance.now() - cutMs} ms`);
  t.deepEqual(
    exits.map(({ error }) => error?.code),
    ["CONNECTION_LOST", "CONNECTION_LOST"],
  );
});

sshdTest("a program can close what it has lost behind a jump host, and goes on", async (t) => {
  await using route = await makeRoute();
  const { world, jump, target } = route;
  await using relay = await startRelay(jump);
  await world.home.write(
    ".ssh/known_hosts",
    `${target.knownHostsLine()}\n[${relay.address}]:${relay.port} ${jump.hostKeys.ed25519.publicLine}\n`,
  );
  const via = `${relay.address}:${relay.port}`;
  const script = join(import.meta.dirname, "lose-and-close.ts");
  const words = [world.home.path, world.key.path, target.address, String(target.port), via];
  const program = execa(process.execPath, [script, ...words], {
    stdin: "ignore",
    reject: false,
    timeout: 60_000,
  });
  program.stdout.once("data", () => relay.cut());
  const { stdout, exitCode } = await program;
  t.is(stdout, "connected\nclosed");
  t.is(exitCode, 0);
});

sshdTest("what the jump host hears nothing from is given up at the target's own limit", async (t) => {
  await using route = await makeRoute();
  await using nobody = await startBlackHole();
  const { address, port } = nobody;
  const host = route.world.host({ address, port, proxyJump: route.via, connectTimeoutMs: 5_000 });
  const startedMs = performance.now();
  await t.throwsAsync(route.world.connect(host), {
    code: "HOST_UNREACHABLE",
    message: `cannot reach pve1 through ${route.jump.address}: no connection within 5 s`,
  });
  t.true(performance.now() - startedMs < 60_000, "sshd itself would have tried for two minutes");
});

sshdTest("one host that gives up does not end the jump host's connection for the others", async (t) => {
  await using route = await makeRoute();
  const host = route.world.host({ proxyJump: route.via });
  const connect = connector({ hosts: [host], home: route.world.home.path, environment: {} });
  const controller = new AbortController();
  const givenUp = connect(host, { signal: controller.signal });
  const other = connect(host, { signal });
  await until(async () => (await route.jump.sessions()).length > 0);
  controller.abort();
  await t.throwsAsync(givenUp);
  await using transport = await other;
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
});
