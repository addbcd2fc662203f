import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import test from "ava";
import { execa } from "execa";
import type { Host } from "../../controller/inventory/model.ts";
import type { AgentChannel } from "../../controller/session.ts";
import { connectHost, type Home, hasSshd, isRoot, makeHome, type Sshd, sshHost, startSshd } from "./sshd.ts";

const canSudo = hasSshd && isRoot && existsSync("/usr/bin/sudo");
const sudoTest = canSudo ? test : test.skip;
const signal = AbortSignal.timeout(170_000);
const password = "it's a secret";

/** Who may what: in a copy of /etc that only this sshd and what it starts can see. */
const users = {
  free: "free ALL=(root) NOPASSWD: ALL",
  asked: "asked ALL=(root) ALL",
  noisy: "noisy ALL=(root) ALL",
  stranger: "",
  tty: "Defaults:tty requiretty\ntty ALL=(root) NOPASSWD: ALL",
};

let home: Home;
let sshd: Sshd;
let host: (login: keyof typeof users) => Host;
if (canSudo) {
  test.before(async () => {
    home = await makeHome();
    const key = await home.key("id");
    const etc = home.file("etc");
    await cp("/etc", etc, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    const { stdout: hash } = await execa("perl", ["-e", "print crypt($ARGV[0], '$6$nexcage$')", password]);
    let id = 47_110;
    for (const name of Object.keys(users)) {
      id += 1;
      await add(`${etc}/passwd`, `${name}:x:${id}:${id}::/tmp:/bin/bash`);
      await add(`${etc}/shadow`, `${name}:${hash}:19000:0:99999:7:::`);
      await add(`${etc}/group`, `${name}:x:${id}:`);
    }
    await rm(`${etc}/sudoers.d`, { recursive: true, force: true });
    await mkdir(`${etc}/sudoers.d`);
    await rm(`${etc}/sudoers`, { force: true });
    await writeFile(
      `${etc}/sudoers`,
      `Defaults env_reset, lecture=never\n${Object.values(users).join("\n")}\n`,
    );
    await chmod(`${etc}/sudoers`, 0o440);
    await chmod(home.path, 0o755);
    sshd = await startSshd({
      authorizedKeys: [key.publicLine],
      wrapper: [
        "unshare",
        "-m",
        "--propagation",
        "private",
        "sh",
        "-c",
        `mount --bind "$0" /etc && exec "$@"`,
        etc,
      ],
    });
    await home.write(".ssh/known_hosts", `${sshd.knownHostsLine()}\n`);
    host = (login) => sshHost(sshd, { user: login, identityFiles: [key.path], become: "sudo" });
  });
  test.after.always(async () => {
    await sshd?.[Symbol.asyncDispose]();
    await home?.[Symbol.asyncDispose]();
  });
}

async function add(path: string, line: string): Promise<void> {
  await writeFile(path, `${await readFile(path, "utf8")}${line}\n`);
}

/** An agent's opening, then who it is, then what it was told. */
const agent = ["sh", "-c", 'printf "nexcage-agent serve: ready\\n"; id -u; exec cat'];
const opening = "nexcage-agent serve: ready\n0\n";

async function talk(channel: AgentChannel, frame: string): Promise<{ stdout: string; stderr: string }> {
  channel.stdin.end(frame);
  const [stdout, stderr] = await Promise.all([channel.stdout.toArray(), channel.stderr.toArray()]);
  return { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

sudoTest(
  "an agent becomes root by sudo where no password is wanted, and the whole channel is its own",
  async (t) => {
    await using transport = await connectHost(home, host("free"));
    const prompt = t.fail;
    t.truthy(prompt);
    const channel = await transport.openAgent(agent, { signal });
    t.deepEqual(await talk(channel, "first frame"), { stdout: `${opening}first frame`, stderr: "" });
    t.deepEqual(await channel.exited, { code: 0 });
  },
);

sudoTest("an agent's stderr flows to who listens, as its stdout does", async (t) => {
  await using transport = await connectHost(home, host("asked"), {
    environment: { NEXCAGE_BECOME_PASSWORD: password },
  });
  const script = 'echo before >&2; printf "nexcage-agent serve: ready\\n"; echo after >&2; exec cat';
  const channel = await transport.openAgent(["sh", "-c", script], { signal });
  let stderr = "";
  channel.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = once(channel.stderr, "end", { signal });
  channel.stdin.end();
  channel.stdout.resume();
  await ended;
  t.is(stderr.trim(), "before\nafter");
});

sudoTest(
  "a password that sudo wants is asked for once for all hosts, and never reaches the agent",
  async (t) => {
    let asked = 0;
    const { connector } = await import("../../controller/ssh/connect.ts");
    const connect = connector({
      hosts: [],
      home: home.path,
      environment: {},
      async prompt() {
        asked += 1;
        return password;
      },
    });
    const transports = await Promise.all([1, 2, 3].map(() => connect(host("asked"), { signal })));
    for (const transport of transports) {
      const channel = await transport.openAgent(agent, { signal });
      t.deepEqual(await talk(channel, "first frame"), { stdout: `${opening}first frame`, stderr: "" });
      await transport[Symbol.asyncDispose]();
    }
    t.is(asked, 1);
  },
);

sudoTest("the password comes from NEXCAGE_BECOME_PASSWORD before anyone is asked", async (t) => {
  const prompt = (): Promise<string> => Promise.reject(new Error("asked"));
  await using transport = await connectHost(home, host("asked"), {
    environment: { NEXCAGE_BECOME_PASSWORD: password },
    prompt,
  });
  const channel = await transport.openAgent(agent, { signal });
  t.is((await talk(channel, "")).stdout, opening);
});

sudoTest("a wrong password is an error after one try, and is not shown", async (t) => {
  await using transport = await connectHost(home, host("asked"), {
    environment: { NEXCAGE_BECOME_PASSWORD: "hunter2" },
  });
  const error = await t.throwsAsync(transport.openAgent(agent, { signal }), {
    code: "BECOME_FAILED",
    message: "sudo on pve1 refused the password",
  });
  t.notRegex(JSON.stringify(error), /hunter2/);
});

sudoTest("without a terminal a password that is wanted is an error that says what to do", async (t) => {
  await using transport = await connectHost(home, host("asked"));
  const error = await t.throwsAsync(transport.openAgent(["/usr/bin/nexcage-agent", "serve"], { signal }), {
    code: "BECOME_FAILED",
    message: "sudo on pve1 wants a password, and there is no terminal to ask",
  });
  t.like(error, {
    hint: "set NEXCAGE_BECOME_PASSWORD, or allow it there (visudo): USER ALL=(root) NOPASSWD: /usr/bin/nexcage-agent",
  });
});

sudoTest("who may not use sudo is told in sudo's words", async (t) => {
  await using transport = await connectHost(home, host("stranger"), {
    environment: { NEXCAGE_BECOME_PASSWORD: password },
  });
  await t.throwsAsync(transport.openAgent(agent, { signal }), {
    code: "BECOME_FAILED",
    message: /^sudo on pve1 refuses: stranger is not in the sudoers file/,
  });
});

sudoTest("a sudo that wants a terminal is told in its words", async (t) => {
  await using transport = await connectHost(home, host("tty"));
  await t.throwsAsync(transport.openAgent(agent, { signal }), {
    code: "BECOME_FAILED",
    message: /^sudo on pve1 refuses: sorry, you must have a tty to run sudo/,
  });
});

sudoTest("an agent that sudo does not find is missing, not refused", async (t) => {
  await using transport = await connectHost(home, host("free"));
  await t.throwsAsync(transport.openAgent(["/nowhere/nexcage-agent", "serve"], { signal }), {
    code: "AGENT_MISSING",
    message: /^pve1 has no agent at \/nowhere\/nexcage-agent: sudo: .+command not found$/,
  });
});

sudoTest("an agent that ends before it has spoken hands over what it said", async (t) => {
  await using transport = await connectHost(home, host("free"));
  const channel = await transport.openAgent(["sh", "-c", "echo broken >&2; exit 7"], { signal });
  t.deepEqual(await channel.exited, { code: 7 });
  t.is((await channel.stderr.toArray()).toString(), "broken\n");
});

sudoTest(
  "what a login shell prints before comes through too, and the agent's mark is still found",
  async (t) => {
    await writeFile(`${sshd.home}/.bashrc`, '[ "$USER" != noisy ] || echo welcome\n', { mode: 0o644 });
    await using transport = await connectHost(home, host("noisy"), {
      environment: { NEXCAGE_BECOME_PASSWORD: password },
    });
    const channel = await transport.openAgent(agent, { signal });
    t.is((await talk(channel, "first frame")).stdout, `welcome\n${opening}first frame`);
  },
);

sudoTest("an upload to root's folder is refused to the login user, and not failed", async (t) => {
  await using transport = await connectHost(home, host("free"));
  t.false(await transport.upload(home.file("id.pub"), "/root/nexcage-test", { signal }));
});

sudoTest("an abort while sudo waits ends at once", async (t) => {
  await using transport = await connectHost(home, host("free"));
  const controller = new AbortController();
  const opened = transport.openAgent(["sleep", "60"], { signal: controller.signal });
  setImmediate(() => controller.abort());
  const startedMs = performance.now();
  await t.throwsAsync(opened);
  t.true(performance.now() - startedMs < 3_000);
});

sudoTest("a local host's agent becomes root by sudo as well", async (t) => {
  await using transport = await connectHost(home, {
    ...host("free"),
    connection: { kind: "local" },
  });
  const channel = await transport.openAgent(agent, { signal }); // root may always
  t.is((await talk(channel, "frame")).stdout, `${opening}frame`);
});
