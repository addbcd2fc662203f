import { appendFile, readFile, writeFile } from "node:fs/promises";
import test from "ava";
import { execa } from "execa";
import { hasSshd, makeWorld, run, type World } from "./sshd.ts";

const sshdTest = hasSshd ? test : test.skip;

let world: World;
if (hasSshd) {
  test.before(async () => {
    world = await makeWorld({ hostKeyTypes: ["ed25519", "rsa", "ecdsa"] });
  });
  test.after.always(() => world[Symbol.asyncDispose]());
}

let files = 0;
/** A known_hosts file of its own. */
async function knownHosts(...lines: string[]): Promise<string> {
  files += 1;
  return await world.home.write(`known_hosts.${files}`, lines.map((line) => `${line}\n`).join(""));
}

async function greets(changes: Parameters<World["host"]>[0]): Promise<string> {
  await using transport = await world.connect(world.host(changes));
  return (await run(transport, ["echo", "hello"])).stdout;
}

sshdTest("a hashed name with a port is known", async (t) => {
  const file = await knownHosts(world.sshd.knownHostsLine());
  await execa("ssh-keygen", ["-H", "-f", file]);
  t.regex(await readFile(file, "utf8"), /^\|1\|/);
  t.is(await greets({ knownHosts: [file] }), "hello\n");
});

for (const type of ["rsa", "ecdsa"] as const)
  sshdTest(`a host that is known by its ${type} key alone is asked for that key`, async (t) => {
    t.is(await greets({ knownHosts: [await knownHosts(world.sshd.knownHostsLine(type))] }), "hello\n");
  });

for (const type of ["ed25519", "rsa", "ecdsa"] as const)
  sshdTest(`a pin of the ${type} key is enough, whichever key is shown first`, async (t) => {
    const hostKey = world.sshd.hostKeys[type].fingerprint;
    t.is(await greets({ knownHosts: [await knownHosts()], hostKey }), "hello\n");
  });

sshdTest("a pin of another key stops the host, although known_hosts trusts it", async (t) => {
  const hostKey = "SHA256:3yPmWkAIrXk1ZC0lTgqg3Wq0E0m0m1q2nV2kq0yqk3s";
  const file = await knownHosts(world.sshd.knownHostsLine());
  const error = await t.throwsAsync(greets({ knownHosts: [file], hostKey }), { code: "HOST_KEY_CHANGED" });
  const { fingerprint } = world.sshd.hostKeys.ed25519;
  t.is(
    error?.message,
    `pve1 showed host key ${fingerprint} (ssh-ed25519), its host_key in the inventory is ${hostKey}`,
  );
  t.like(error, { hint: `if the host was reinstalled, write host_key: "${fingerprint}"` });
});

sshdTest("an unknown key stops the host, and the command in the hint makes it known", async (t) => {
  const file = await knownHosts();
  const error = await t.throwsAsync(greets({ knownHosts: [file] }), { code: "HOST_KEY_UNKNOWN" });
  t.true(error?.message.includes(world.sshd.hostKeys.ed25519.fingerprint));
  const hint = String(error && "hint" in error ? error.hint : "");
  await execa("sh", ["-c", hint.slice(hint.indexOf("echo "))]);
  t.is(await greets({ knownHosts: [file] }), "hello\n");
});

sshdTest(
  "a changed key stops the host with both fingerprints and the line, and the command in the hint forgets it",
  async (t) => {
    const { address, port, hostKeys } = world.sshd;
    const file = await knownHosts("# a comment", `[${address}]:${port} ${world.key.publicLine}`);
    const error = await t.throwsAsync(greets({ knownHosts: [file], hostKeyChecking: "accept-new" }), {
      code: "HOST_KEY_CHANGED",
      message: `pve1 showed host key ${hostKeys.ed25519.fingerprint} (ssh-ed25519), ${file}:2 has ${world.key.fingerprint} (ssh-ed25519)`,
    });
    const hint = String(error && "hint" in error ? error.hint : "");
    await execa("sh", ["-c", hint.slice(hint.indexOf("ssh-keygen"))]);
    await t.throwsAsync(greets({ knownHosts: [file] }), { code: "HOST_KEY_UNKNOWN" });
  },
);

sshdTest("a revoked key stops the host although another file trusts it", async (t) => {
  const trusted = await knownHosts(world.sshd.knownHostsLine());
  const revoked = await knownHosts(`@revoked * ${world.sshd.hostKeys.ed25519.publicLine}`);
  await t.throwsAsync(greets({ knownHosts: [trusted, revoked] }), {
    code: "HOST_KEY_REVOKED",
    message: new RegExp(`which ${revoked}:1 revokes$`),
  });
});

sshdTest("nothing of the user's is sent to a host whose key is refused", async (t) => {
  await using other = await makeWorld();
  await writeFile(other.home.file(".ssh/known_hosts"), "");
  await t.throwsAsync(other.connect(), { code: "HOST_KEY_UNKNOWN" });
  t.notRegex(other.sshd.log(), /publickey/);
  t.notRegex(other.sshd.log(), /Accepted/);
});

sshdTest("accept-new writes a new key once, however many connections meet it at once", async (t) => {
  const file = world.home.file("new/known_hosts");
  const host = world.host({ knownHosts: [file], hostKeyChecking: "accept-new" });
  const { connector } = await import("../../controller/ssh/connect.ts");
  const connect = connector({ hosts: [host], home: world.home.path, environment: {} });
  const signal = AbortSignal.timeout(60_000);
  const transports = await Promise.all(Array.from({ length: 6 }, () => connect(host, { signal })));
  for (const transport of transports) await transport[Symbol.asyncDispose]();
  const { address, port, hostKeys } = world.sshd;
  const [type, key] = hostKeys.ed25519.publicLine.split(" ");
  t.is(await readFile(file, "utf8"), `[${address}]:${port} ${type} ${key}\n`);

  t.is(await greets({ knownHosts: [file] }), "hello\n");
  await appendFile(file, "# kept without an end of line");
  t.is(await greets({ knownHosts: [file], hostKeyChecking: "accept-new" }), "hello\n");
  t.regex(await readFile(file, "utf8"), /# kept without an end of line$/);
});

sshdTest("accept-new that cannot write the key down does not trust it", async (t) => {
  const file = await knownHosts();
  await t.throwsAsync(greets({ knownHosts: [`${file}/below`], hostKeyChecking: "accept-new" }), {
    code: "HOST_KEY_UNKNOWN",
    message: /^cannot write a new host key to /,
  });
});
