import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { inspect } from "node:util";
import test from "ava";
import { execa } from "execa";
import { connector } from "../../controller/ssh/connect.ts";
import { inspectKey } from "../../controller/ssh/keys.ts";
import { Secret } from "../../controller/ssh/secret.ts";
import { writeString } from "../../controller/ssh/wire.ts";
import { type Home, hasSshd, makeHome, makeWorld, run, sshHost, type World } from "./sshd.ts";

const sshdTest = hasSshd ? test : test.skip;
const passphrase = "correct horse";

let world: World;
if (hasSshd) {
  test.before(async () => {
    world = await makeWorld();
  });
  test.after.always(() => world[Symbol.asyncDispose]());
}

/** A real ssh-agent with these keys. */
async function startAgent(home: Home, ...keyPaths: string[]): Promise<AsyncDisposable & { socket: string }> {
  const socket = home.file("agent.sock");
  const agent = execa("ssh-agent", ["-D", "-a", socket], { reject: false });
  await agent.iterable()[Symbol.asyncIterator]().next(); // it prints its socket when it listens
  for (const path of keyPaths) await execa("ssh-add", ["-q", path], { env: { SSH_AUTH_SOCK: socket } });
  return {
    socket,
    async [Symbol.asyncDispose]() {
      agent.kill();
      await agent;
    },
  };
}

/** A user whose known_hosts has the shared sshd, and a key of theirs that it takes. */
async function makeUser(
  options: Parameters<Home["key"]>[1] = {},
): Promise<{ home: Home; host: World["host"]; at: World }> {
  const home = await makeHome();
  const key = await home.key("id", options);
  const at = await makeWorld({ authorizedKeys: [key.publicLine] });
  await home.write(".ssh/known_hosts", `${at.sshd.knownHostsLine()}\n`);
  const host: World["host"] = (changes) => sshHost(at.sshd, { identityFiles: [key.path], ...changes });
  return { home, host, at };
}

async function greets(
  home: Home,
  host: ReturnType<World["host"]>,
  options: Omit<Parameters<typeof connector>[0], "hosts" | "home" | "environment"> & {
    environment?: NodeJS.ProcessEnv;
  } = {},
): Promise<string> {
  const connect = connector({ hosts: [host], home: home.path, environment: {}, ...options });
  await using transport = await connect(host, { signal: AbortSignal.timeout(60_000) });
  return (await run(transport, ["echo", "hello"])).stdout;
}

for (const type of ["ed25519", "ecdsa", "rsa"] as const)
  sshdTest(`an ${type} key that only the agent holds logs in`, async (t) => {
    const { home, host, at } = await makeUser({ type });
    await using _home = home;
    await using _at = at;
    await using agent = await startAgent(home, home.file("id"));
    await rm(home.file("id"));
    const environment = { SSH_AUTH_SOCK: agent.socket };
    t.is(await greets(home, host({ identityFiles: [home.file("id.pub")] }), { environment }), "hello\n");
  });

sshdTest("an encrypted key's passphrase is asked for once, however many hosts want the key", async (t) => {
  const { home, host, at } = await makeUser({ passphrase });
  await using _home = home;
  await using _at = at;
  const asked: string[] = [];
  const prompt = async (text: string): Promise<string> => {
    asked.push(text);
    return asked.length === 1 ? "wrong" : passphrase;
  };
  const connect = connector({ hosts: [], home: home.path, environment: {}, prompt });
  const signal = AbortSignal.timeout(60_000);
  const transports = await Promise.all(["a", "b", "c"].map((name) => connect(host({ name }), { signal })));
  for (const transport of transports) {
    t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
    await transport[Symbol.asyncDispose]();
  }
  t.deepEqual(asked, Array(2).fill(`Passphrase of ${home.file("id")}: `));
});

sshdTest(
  "three wrong passphrases end in an error that says so, and no connection is made before",
  async (t) => {
    const { home, host, at } = await makeUser({ passphrase });
    await using _home = home;
    await using _at = at;
    await t.throwsAsync(greets(home, host(), { prompt: async () => "wrong" }), {
      code: "AUTH_FAILED",
      message: new RegExp(`${home.file("id")} is encrypted, and 3 passphrases were wrong$`),
    });
    t.notRegex(at.sshd.log(), /Connection from/);
  },
);

sshdTest("without a terminal an encrypted key is an error that says what to do", async (t) => {
  const { home, host, at } = await makeUser({ passphrase });
  await using _home = home;
  await using _at = at;
  await t.throwsAsync(greets(home, host()), {
    code: "AUTH_FAILED",
    message: /no terminal.+ssh-add.+passphrase_command/,
  });
});

sshdTest("a passphrase comes from a command, of the first line it prints", async (t) => {
  const { home, host, at } = await makeUser({ passphrase });
  await using _home = home;
  await using _at = at;
  const prompt = (): Promise<string> => Promise.reject(new Error("asked"));
  const passphraseCommand = ["printf", `${passphrase}\\nmore\\n`];
  t.is(await greets(home, host({ passphraseCommand }), { prompt }), "hello\n");
  await t.throwsAsync(greets(home, host({ passphraseCommand: ["echo", "wrong"] }), { prompt }), {
    code: "AUTH_FAILED",
    message: /passphrase_command printed another passphrase/,
  });
  const failing = ["sh", "-c", "echo no such entry >&2; exit 1"];
  await t.throwsAsync(greets(home, host({ passphraseCommand: failing }), { prompt }), {
    code: "AUTH_FAILED",
    message: "passphrase_command sh failed: no such entry",
  });
});

sshdTest("an encrypted key that the agent holds is not asked for", async (t) => {
  const { home, host, at } = await makeUser();
  await using _home = home;
  await using _at = at;
  await using agent = await startAgent(home, home.file("id"));
  await execa("ssh-keygen", ["-q", "-p", "-N", passphrase, "-f", home.file("id")]);
  const prompt = (): Promise<string> => Promise.reject(new Error("asked"));
  const environment = { SSH_AUTH_SOCK: agent.socket };
  t.is(await greets(home, host({ identitiesOnly: true }), { environment, prompt }), "hello\n");
});

sshdTest("an encrypted key in the older PEM format is unlocked too", async (t) => {
  const { home, host, at } = await makeUser({ type: "rsa" });
  await using _home = home;
  await using _at = at;
  await execa("ssh-keygen", ["-q", "-p", "-m", "PEM", "-N", passphrase, "-f", home.file("id")]);
  t.is(await greets(home, host(), { prompt: async () => passphrase }), "hello\n");
  await t.throwsAsync(greets(home, host(), { prompt: async () => "wrong" }), {
    message: /passphrases were wrong/,
  });
});

sshdTest(
  "ssh's own key files are tried where none is written down, and an encrypted one only for want of others",
  async (t) => {
    await using home = await makeHome();
    const plain = await home.key(".ssh/id_ed25519");
    await home.key(".ssh/id_rsa", { type: "rsa", passphrase });
    await using at = await makeWorld({ authorizedKeys: [plain.publicLine] });
    await home.write(".ssh/known_hosts", `${at.sshd.knownHostsLine()}\n`);
    const asked: string[] = [];
    const prompt = async (text: string): Promise<string> => {
      asked.push(text);
      return passphrase;
    };
    t.is(await greets(home, sshHost(at.sshd), { prompt }), "hello\n");
    t.deepEqual(asked, []);
    await rm(plain.path);
    await t.throwsAsync(greets(home, sshHost(at.sshd), { prompt }), {
      code: "AUTH_FAILED",
      message: /takes none of the keys that were tried: .+id_rsa$/,
    });
    t.deepEqual(asked, [`Passphrase of ${home.file(".ssh/id_rsa")}: `]);
  },
);

sshdTest("the key that is written down comes before an agent full of others", async (t) => {
  const { home, host, at } = await makeUser();
  await using _home = home;
  await using _at = at;
  const others = await Promise.all(Array.from({ length: 8 }, (_, index) => home.key(`other${index}`)));
  await using agent = await startAgent(home, ...others.map(({ path }) => path));
  const environment = { SSH_AUTH_SOCK: agent.socket };
  t.is(await greets(home, host(), { environment }), "hello\n");
  await t.throwsAsync(greets(home, sshHost(at.sshd), { environment }), {
    code: "AUTH_FAILED",
    message: /pve1 allows no more tries$/,
  });
});

sshdTest("identities_only offers nothing of the agent's but what is written down", async (t) => {
  const { home, host, at } = await makeUser();
  await using _home = home;
  await using _at = at;
  await home.key("other");
  await using agent = await startAgent(home, home.file("id"));
  const environment = { SSH_AUTH_SOCK: agent.socket };
  const other = { identityFiles: [home.file("other")] };
  t.is(await greets(home, host(other), { environment }), "hello\n");
  const error = await t.throwsAsync(greets(home, host({ ...other, identitiesOnly: true }), { environment }), {
    code: "AUTH_FAILED",
  });
  t.regex(error?.message ?? "", new RegExp(`takes none of the keys that were tried: ${home.file("other")}$`));
});

sshdTest("an agent that does not answer is passed over, and named when nothing else works", async (t) => {
  const { home, host, at } = await makeUser();
  await using _home = home;
  await using _at = at;
  const environment = { SSH_AUTH_SOCK: home.file("nothing.sock") };
  t.is(await greets(home, host(), { environment }), "hello\n");
  await t.throwsAsync(greets(home, host({ identityFiles: [home.file("missing")] }), { environment }), {
    code: "AUTH_FAILED",
    message: new RegExp(
      `no ssh-agent answers at ${home.file("nothing.sock")}; ${home.file("missing")} does not exist$`,
    ),
  });
});

sshdTest("a key that the host does not take is named, with the command that makes it", async (t) => {
  const key = await world.home.key("stranger");
  const { address, port } = world.sshd;
  const error = await t.throwsAsync(
    greets(world.home, world.host({ identityFiles: [key.path], user: "root" })),
    {
      code: "AUTH_FAILED",
      message: `pve1 (root@${address}:${port}) takes none of the keys that were tried: ${key.path}`,
    },
  );
  t.like(error, {
    hint: `ssh-copy-id -p ${port} root@${address}`,
    details: { allowed: ["publickey", "password", "keyboard-interactive"] },
  });
});

sshdTest("an sshd that takes no keys says what it wants", async (t) => {
  await using other = await makeWorld({ options: ["PubkeyAuthentication=no"] });
  const error = await t.throwsAsync(other.connect(), { code: "AUTH_FAILED" });
  t.like(error, {
    hint: "its sshd wants password or keyboard-interactive: allow PubkeyAuthentication there",
  });
});

sshdTest("a certificate is refused by name, in a file, beside a key and in the agent", async (t) => {
  await using home = await makeHome();
  const key = await home.key("id");
  const authority = await home.key("authority");
  await execa("ssh-keygen", ["-q", "-s", authority.path, "-I", "me", "-n", "root", `${key.path}.pub`]);
  const certificate = home.file("id-cert.pub");
  await using at = await makeWorld({ authorizedKeys: [`cert-authority ${authority.publicLine}`] });
  await home.write(".ssh/known_hosts", `${at.sshd.knownHostsLine()}\n`);
  await t.throwsAsync(greets(home, sshHost(at.sshd, { identityFiles: [certificate] })), {
    code: "KEY_UNSUPPORTED",
    message: new RegExp(`${certificate} is a certificate, which nexcage cannot use$`),
  });
  await t.throwsAsync(greets(home, sshHost(at.sshd, { identityFiles: [key.path] })), {
    code: "KEY_UNSUPPORTED",
    message: new RegExp(
      `were tried: ${key.path}; ${certificate} is a certificate, which nexcage cannot use$`,
    ),
  });
  await using agent = await startAgent(home, key.path);
  const error = await t.throwsAsync(
    greets(home, sshHost(at.sshd), { environment: { SSH_AUTH_SOCK: agent.socket } }),
    {
      code: "KEY_UNSUPPORTED",
      message: /"me" in the ssh-agent is a certificate|"test key" in the ssh-agent is a certificate/,
    },
  );
  t.regex(String(error && "hint" in error ? error.hint : ""), /ssh-keygen -t ed25519/);
});

function sshString(value: string | Buffer): Buffer {
  return writeString(Buffer.from(value));
}

const fidoPublicKey = Buffer.concat([
  sshString("sk-ssh-ed25519@openssh.com"),
  sshString(Buffer.alloc(32, 7)),
  sshString("ssh:"),
]);

/** A FIDO key's file without its hardware: the public half of it says what it is. */
function fidoKeyFile(): string {
  const one = Buffer.from([0, 0, 0, 1]);
  const none = [sshString("none"), sshString("none"), sshString("")];
  const data = Buffer.concat([
    Buffer.from("openssh-key-v1\0"),
    ...none,
    one,
    sshString(fidoPublicKey),
    sshString(Buffer.alloc(64)),
  ]);
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${data.toString("base64")}\n-----END OPENSSH PRIVATE KEY-----\n`;
}

sshdTest("a FIDO key in the agent is refused by name", async (t) => {
  await using home = await makeHome();
  await home.write(".ssh/known_hosts", `${world.sshd.knownHostsLine()}\n`);
  const answer = Buffer.concat([
    Buffer.from([12, 0, 0, 0, 1]),
    sshString(fidoPublicKey),
    sshString("my token"),
  ]);
  const agent = createServer((socket) => socket.end(sshString(answer))).listen(home.file("agent.sock"));
  await once(agent, "listening");
  await t.throwsAsync(
    greets(home, sshHost(world.sshd), { environment: { SSH_AUTH_SOCK: home.file("agent.sock") } }),
    {
      code: "KEY_UNSUPPORTED",
      message: /"my token" in the ssh-agent is a FIDO key, which nexcage cannot use$/,
    },
  );
  agent.close();
});

sshdTest("a FIDO key is refused by name before any connection", async (t) => {
  const path = await world.home.write("id_ed25519_sk", fidoKeyFile());
  await t.throwsAsync(greets(world.home, world.host({ identityFiles: [path] })), {
    code: "KEY_UNSUPPORTED",
    message: new RegExp(`there is no key to log in .+; ${path} is a FIDO key, which nexcage cannot use$`),
  });
});

sshdTest("a file that is no key is named", async (t) => {
  const path = await world.home.write("garbage", "this is no key\n");
  await t.throwsAsync(greets(world.home, world.host({ identityFiles: [path] })), {
    code: "KEY_UNSUPPORTED",
    message: /garbage is not a private key that can be read/,
  });
});

test("what an encrypted key is can be told without its passphrase", async (t) => {
  await using home = await makeHome();
  const key = await home.key("id", { passphrase });
  const file = inspectKey(await readFile(key.path, "utf8"));
  t.is(file.kind, "encrypted");
  const publicKey = file.kind === "encrypted" ? file.publicKey?.toString("base64") : "";
  t.is(publicKey, key.publicLine.split(" ")[1]);
  t.is(inspectKey(key.publicLine).kind, "public");
});

test("a secret is not shown by what prints it", (t) => {
  const secret = new Secret("hunter2");
  const shown = [
    `${secret}`,
    JSON.stringify({ secret }),
    inspect({ secret }, { depth: 9, showHidden: true }),
  ];
  for (const text of shown) {
    t.true(text.includes("[secret]"));
    t.false(text.includes("hunter2"));
  }
  t.is(secret.reveal(), "hunter2");
});
