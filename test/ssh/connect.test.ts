import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import test from "ava";
import { execa } from "execa";
import { hasSshd, isRoot, makeWorld, run, type World } from "./sshd.ts";

const sshdTest = hasSshd ? test : test.skip;
/** By itself, because it measures time. */
const timedTest = hasSshd ? test.serial : test.skip;
const signal = AbortSignal.timeout(120_000);

/** For the tests that do not change it; each connects by itself. */
let world: World;
if (hasSshd) {
  test.before(async () => {
    world = await makeWorld();
  });
  test.after.always(() => world[Symbol.asyncDispose]());
}

for (const type of ["ed25519", "ecdsa", "rsa"] as const)
  sshdTest(`an ${type} key in a file logs in, and the words of a command arrive as they are`, async (t) => {
    await using world = await makeWorld({ type });
    await using transport = await world.connect();
    const words = ["printf", "%s|", "plain", "two words", "it's", "$HOME", "`id`", "a;b", "-n", "\\", "é"];
    const { stdout, code } = await run(transport, words);
    t.is(stdout, "plain|two words|it's|$HOME|`id`|a;b|-n|\\|é|");
    t.is(code, 0);
  });

sshdTest("a word with a control character is refused before anything is run", async (t) => {
  await using transport = await world.connect();
  for (const word of ["", "a\nb", "a\0b", "\x1b[2J"])
    await t.throwsAsync(transport.openAgent(["echo", word], { signal }), { code: "USAGE" });
});

sshdTest("exit codes and signals come back, also when the program is not there", async (t) => {
  await using transport = await world.connect();
  t.is((await run(transport, ["sh", "-c", "exit 3"])).code, 3);
  t.is((await run(transport, ["sh", "-c", "kill -KILL $$"])).signal, "SIGKILL");
  const missing = await run(transport, ["/nowhere/nexcage-agent"]);
  t.is(missing.code, 127);
  t.regex(missing.stderr, /nexcage-agent: No such file/);
});

sshdTest("stdin arrives whole, and its end ends the program", async (t) => {
  await using transport = await world.connect();
  const input = "0123456789".repeat(500_000);
  const { stdout } = await run(transport, ["cat"], { stdin: input });
  t.is(stdout.length, input.length);
  t.true(stdout === input);
});

sshdTest("a background child that keeps stdout does not keep back how the program ended", async (t) => {
  await using transport = await world.connect();
  const channel = await transport.openAgent(["sh", "-c", "sleep 20 & exit 5"], { signal });
  channel.stdout.resume();
  t.deepEqual(await channel.exited, { code: 5 });
  channel.destroy();
});

sshdTest("a flood of stderr that nobody reads stops nothing", async (t) => {
  await using transport = await world.connect();
  const script = "head -c 20000000 /dev/zero >&2; echo done";
  const channel = await transport.openAgent(["sh", "-c", script], { signal });
  const stdout = await channel.stdout.toArray();
  t.is(Buffer.concat(stdout).toString(), "done\n");
  t.deepEqual(await channel.exited, { code: 0 });
});

sshdTest("a program whose stdout nobody reads is still seen to end", async (t) => {
  await using transport = await world.connect();
  const channel = await transport.openAgent(["sh", "-c", "echo unread; exit 4"], { signal });
  t.deepEqual(await channel.exited, { code: 4 });
});

sshdTest("two programs run beside each other on one connection", async (t) => {
  await using world = await makeWorld();
  await using transport = await world.connect();
  const results = await Promise.all(["a", "b"].map((word) => run(transport, ["echo", word])));
  t.deepEqual(
    results.map(({ stdout }) => stdout),
    ["a\n", "b\n"],
  );
  t.is((await world.sshd.sessions()).length, 1);
});

sshdTest("more sessions than sshd allows is an error, and the connection goes on", async (t) => {
  await using world = await makeWorld({ options: ["MaxSessions=1"] });
  await using transport = await world.connect();
  const first = await transport.openAgent(["cat"], { signal });
  await t.throwsAsync(transport.openAgent(["cat"], { signal }), {
    message: "pve1 opens no session: open failed",
  });
  first.stdin.end("still there");
  t.is(Buffer.concat(await first.stdout.toArray()).toString(), "still there");
});

sshdTest("closing the connection ends the programs on it", async (t) => {
  const transport = await world.connect();
  const channel = await transport.openAgent(["cat"], { signal });
  await transport[Symbol.asyncDispose]();
  const { error } = await channel.exited;
  t.is(error?.code, "CONNECTION_LOST");
  await t.throwsAsync(transport.openAgent(["true"], { signal }), { code: "CONNECTION_LOST" });
});

sshdTest(
  "a session that is killed on the host is a lost connection, to its program and to what is opened next",
  async (t) => {
    await using world = await makeWorld();
    await using transport = await world.connect();
    const channel = await transport.openAgent(["cat"], { signal });
    for (const session of await world.sshd.sessions()) process.kill(session, "SIGKILL");
    const { error } = await channel.exited;
    t.is(error?.code, "CONNECTION_LOST");
    t.regex(error?.message ?? "", /^the connection to pve1 \(.+@127\..+\) was lost/);
    await t.throwsAsync(transport.openAgent(["true"], { signal }), { code: "CONNECTION_LOST" });
    await t.throwsAsync(transport.upload(world.key.path, "/nowhere", { signal }), {
      code: "CONNECTION_LOST",
    });
  },
);

sshdTest("a file is sent by SFTP, and its progress told", async (t) => {
  await using transport = await world.connect();
  const content = Buffer.alloc(3_000_000, "nexcage ");
  await writeFile(world.home.file("big"), content);
  const progress: number[] = [];
  const sent = await transport.upload(world.home.file("big"), world.home.file("copy"), {
    signal,
    onProgress: (sentBytes) => progress.push(sentBytes),
  });
  t.true(sent);
  t.is(progress.at(-1), content.length);
  t.true(content.equals(await readFile(world.home.file("copy"))));
});

sshdTest(
  "an upload is refused, not failed, where there is no folder, no SFTP, or a forced command",
  async (t) => {
    await using transport = await world.connect();
    t.false(await transport.upload(world.key.path, "/nowhere/copy", { signal }));

    await using without = await makeWorld({ sftp: false });
    await using plain = await without.connect();
    t.false(await plain.upload(without.key.path, without.home.file("copy"), { signal }));

    const { publicLine } = world.key;
    await using forced = await makeWorld({
      authorizedKeys: [`restrict,command="echo only this" ${publicLine}`],
    });
    await using agentOnly = await world.connect(
      forced.host({ identityFiles: [world.key.path], knownHosts: [forced.home.file(".ssh/known_hosts")] }),
    );
    t.false(await agentOnly.upload(world.key.path, forced.home.file("copy"), { signal }));
    t.is((await run(agentOnly, ["anything"])).stdout, "only this\n");
  },
);

sshdTest("an upload of a file that is not there says so", async (t) => {
  await using transport = await world.connect();
  const missing = world.home.file("missing");
  await t.throwsAsync(transport.upload(missing, world.home.file("copy"), { signal }), {
    code: "UPLOAD_FAILED",
    message: /missing/,
  });
});

const rootTest = hasSshd && isRoot ? test : test.skip;
rootTest("a full disk is said to be that, and the connection goes on", async (t) => {
  await using transport = await world.connect();
  const folder = world.home.file("small");
  await mkdir(folder);
  await execa("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]);
  try {
    await writeFile(world.home.file("too-big"), Buffer.alloc(3_000_000));
    await t.throwsAsync(transport.upload(world.home.file("too-big"), `${folder}/copy`, { signal }), {
      code: "DISK_FULL",
      message: `no space left for ${folder}/copy on pve1`,
    });
  } finally {
    await execa("umount", [folder]);
  }
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
});

timedTest("small exchanges do not wait for delayed acknowledgements", async (t) => {
  await using transport = await world.connect();
  const channel = await transport.openAgent(["cat"], { signal });
  const rounds = 100;
  const startedMs = performance.now();
  for (let round = 0; round < rounds; round++) {
    channel.stdin.write("a question\n");
    await once(channel.stdout, "data", { signal });
  }
  const roundMs = (performance.now() - startedMs) / rounds;
  channel.stdin.end();
  t.true(roundMs < 30, `${roundMs} ms a round; with Nagle's algorithm 44`);
});

test("ssh2 is not loaded before a host is reached by it", async (t) => {
  const script = `
    import { createRequire } from "node:module";
    const { connector } = await import("./controller/ssh/connect.ts");
    connector({ hosts: [], home: "/", environment: {} });
    const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes("/ssh2/"));
    const before = loaded();
    await import("ssh2");
    console.log(before, loaded());`;
  const { stdout } = await execa("node", ["--input-type=module", "-e", script]);
  t.is(stdout, "false true");
});
