import { readFile, writeFile } from "node:fs/promises";
import test from "ava";
import { connectHost, hasSshd, makeHome, run, sshHost, startSshd } from "./sshd.ts";

const sshdTest = hasSshd ? test : test.skip;

for (const type of ["ed25519", "ecdsa", "rsa"] as const)
  sshdTest(`an ${type} key in a file logs in, and the words of a command arrive as they are`, async (t) => {
    await using home = await makeHome();
    const key = await home.key("id", { type });
    await using sshd = await startSshd({ authorizedKeys: [key.publicLine] });
    await home.write(".ssh/known_hosts", `${sshd.knownHostsLine()}\n`);
    await using transport = await connectHost(home, sshHost(sshd, { identityFiles: [key.path] }));
    const words = ["printf", "%s|", "plain", "two words", "it's", "$HOME", "`id`", "a;b", "-n", "\\", "é"];
    const { stdout, code } = await run(transport, words);
    t.is(stdout, "plain|two words|it's|$HOME|`id`|a;b|-n|\\|é|");
    t.is(code, 0);
  });

sshdTest("a file is sent by SFTP, and its progress told", async (t) => {
  await using home = await makeHome();
  const key = await home.key("id");
  await using sshd = await startSshd({ authorizedKeys: [key.publicLine] });
  await home.write(".ssh/known_hosts", `${sshd.knownHostsLine()}\n`);
  await using transport = await connectHost(home, sshHost(sshd, { identityFiles: [key.path] }));
  const content = Buffer.alloc(3_000_000, "nexcage ");
  await writeFile(home.file("big"), content);
  const progress: number[] = [];
  const sent = await transport.upload(home.file("big"), home.file("copy"), {
    signal: AbortSignal.timeout(20_000),
    onProgress: (sentBytes) => progress.push(sentBytes),
  });
  t.true(sent);
  t.is(progress.at(-1), content.length);
  t.true(content.equals(await readFile(home.file("copy"))));
});
