import { chmod, readFile } from "node:fs/promises";
import test from "ava";
import { connectHost, isRoot, makeHome, run, sshHost } from "./sshd.ts";

const signal = AbortSignal.timeout(60_000);
const here = { ...sshHost({ address: "here" }, { name: "build" }), connection: { kind: "local" as const } };

test("a local host's agent is a process of this machine, with its words as they are", async (t) => {
  await using home = await makeHome();
  await using transport = await connectHost(home, here);
  const { stdout, code } = await run(transport, ["printf", "%s|", "two words", "$HOME", "'"]);
  t.is(stdout, "two words|$HOME|'|");
  t.is(code, 0);
  t.is((await run(transport, ["sh", "-c", "exit 3"])).code, 3);
  t.is((await run(transport, ["sh", "-c", "kill -TERM $$"])).signal, "SIGTERM");
  t.is((await run(transport, ["cat"], { stdin: "hello" })).stdout, "hello");
});

test("an agent that is not there is said to be missing, and where", async (t) => {
  await using home = await makeHome();
  await using transport = await connectHost(home, here);
  await t.throwsAsync(transport.openAgent(["/nowhere/nexcage-agent"], { signal }), {
    code: "AGENT_MISSING",
    message: /^build has no program \/nowhere\/nexcage-agent: /,
  });
});

test("a Ctrl-C in the terminal is not the local agent's", async (t) => {
  await using home = await makeHome();
  await using transport = await connectHost(home, here);
  const { stdout } = await run(transport, ["sh", "-c", "echo $$; ps -o pgid= -p $$"]);
  const [pid, group] = stdout.trim().split(/\s+/);
  t.is(group, pid);
});

test("a file is copied, and a place that may not be written is refused and not failed", async (t) => {
  await using home = await makeHome();
  await using transport = await connectHost(home, here);
  const source = await home.write("source", "content");
  let told = 0;
  const onProgress = (sentBytes: number): void => {
    told = sentBytes;
  };
  t.true(await transport.upload(source, home.file("copy"), { signal, onProgress }));
  t.is(await readFile(home.file("copy"), "utf8"), "content");
  t.is(told, 7);
  t.false(await transport.upload(source, "/nowhere/copy", { signal }));
  await t.throwsAsync(transport.upload(home.file("missing"), home.file("copy"), { signal }), {
    code: "ENOENT",
  });
  if (isRoot) return;
  await home.write("locked", "");
  await chmod(home.file("locked"), 0o400);
  t.false(await transport.upload(source, home.file("locked"), { signal }));
});

test("giving up a channel ends its program by the end of its stdin", async (t) => {
  await using home = await makeHome();
  await using transport = await connectHost(home, here);
  const channel = await transport.openAgent(["cat"], { signal });
  channel.destroy();
  t.deepEqual(await channel.exited, { code: 0 });
});
