import { mkdir } from "node:fs/promises";
import test from "ava";
import type { Host, Ssh } from "../../controller/inventory/model.ts";
import { type Destination, resolveRoute } from "../../controller/ssh/destination.ts";
import { readSshConfig } from "../../controller/ssh/ssh-config.ts";
import { type Home, hasSshd, makeHome, makeWorld, run, sshHost, user } from "./sshd.ts";

/** What the inventory says nothing of but this. */
function bare(address: string, ssh: Partial<Ssh> & { name?: string } = {}): Host {
  const host = sshHost({ address }, ssh);
  if (host.connection.kind === "ssh" && ssh.user === undefined) delete host.connection.user;
  return host;
}

async function route(
  home: Home,
  host: Host,
  hosts: Host[] = [host],
): Promise<[...Destination[], Destination]> {
  if (host.connection.kind !== "ssh") throw new Error("not by SSH");
  const config = await readSshConfig(home.path);
  const around = { config, hosts, home: home.path, localUser: "me", agentSocket: "/agent" };
  return resolveRoute(host, host.connection, around);
}

test("without a file ssh's own defaults hold", async (t) => {
  await using home = await makeHome();
  const [host] = await route(home, bare("pve1"));
  t.like(host, {
    address: "pve1",
    port: 22,
    user: "me",
    identitiesConfigured: false,
    identitiesOnly: false,
    agentSocket: "/agent",
    hostKeyAlias: undefined,
  });
  t.is(host.knownHostsFiles[0], home.file(".ssh/known_hosts"));
  t.true(host.knownHostsFiles.includes("/etc/ssh/ssh_known_hosts"));
  t.true(host.identityFiles.includes(home.file(".ssh/id_ed25519")));
});

test("the first value of a word counts, patterns and negation hold, and words know no case", async (t) => {
  await using home = await makeHome();
  await home.write(
    ".ssh/config",
    `Host pve? !pve9
  hostname %h.example.net
  PORT 2222
  User deploy
  IdentityFile ~/.ssh/%r-%h
  IdentityFile "~/with space"
  IdentitiesOnly yes
  UserKnownHostsFile ~/.ssh/a /b
  HostKeyAlias the-cluster
Host *
  User nobody
  IdentityAgent none
  IdentityFile ~/.ssh/last
`,
  );
  const [host] = await route(home, bare("pve1"));
  t.like(host, {
    name: "pve1",
    address: "pve1.example.net",
    port: 2222,
    user: "deploy",
    identitiesConfigured: true,
    identitiesOnly: true,
    agentSocket: undefined,
    hostKeyAlias: "the-cluster",
  });
  t.deepEqual(host.identityFiles, [
    home.file(".ssh/deploy-pve1.example.net"),
    home.file("with space"),
    home.file(".ssh/last"),
  ]);
  t.deepEqual(host.knownHostsFiles.slice(0, 2), [home.file(".ssh/a"), "/b"]);
  const [other] = await route(home, bare("pve9"));
  t.like(other, { address: "pve9", port: 22, user: "nobody" });
});

test("a known_hosts file of none is one that is empty and keeps nothing", async (t) => {
  await using home = await makeHome();
  await home.write(".ssh/config", "Host pve1\n UserKnownHostsFile none\n GlobalKnownHostsFile none\n");
  const [host] = await route(home, bare("pve1"));
  t.deepEqual([...new Set(host.knownHostsFiles)], ["/dev/null"]);
});

test("the inventory wins over ssh_config", async (t) => {
  await using home = await makeHome();
  await home.write(
    ".ssh/config",
    "Host pve1\n User other\n Port 2222\n IdentityFile ~/other\n IdentitiesOnly yes\n UserKnownHostsFile ~/other\n ProxyJump other\n",
  );
  const [host, ...none] = await route(
    home,
    bare("pve1", {
      user: "deploy",
      port: 22,
      identityFiles: ["/key"],
      identitiesOnly: false,
      knownHosts: ["/known"],
      proxyJump: "none",
    }),
  );
  t.deepEqual(none, []);
  t.like(host, {
    user: "deploy",
    port: 22,
    identityFiles: ["/key"],
    identitiesOnly: false,
    knownHostsFiles: ["/known"],
  });
});

test("files that are included count where they are included", async (t) => {
  await using home = await makeHome();
  await mkdir(home.file(".ssh/config.d"));
  await home.write(".ssh/config.d/10-a", "Host pve1\n Port 2001\n");
  await home.write(".ssh/config.d/20-b", "Host pve1\n Port 2002\nHost pve2\n Port 2003\n");
  await home.write(".ssh/config", "Include config.d/* ~/nothing\nHost *\n Port 2004\n");
  t.is((await route(home, bare("pve1")))[0].port, 2001);
  t.is((await route(home, bare("pve2")))[0].port, 2003);
  t.is((await route(home, bare("pve3")))[0].port, 2004);
  await home.write(".ssh/config", "Include config\n");
  await t.throwsAsync(route(home, bare("pve1")), { code: "INVALID_FILE", message: /without an end/ });
});

test("jump hosts come before the host, with what ssh_config says of each", async (t) => {
  await using home = await makeHome();
  await home.write(
    ".ssh/config",
    "Host pve1\n ProxyJump me@first:2201,second\nHost second\n HostName 10.0.0.2\n User jumper\n Port 2202\n",
  );
  const hops = await route(home, bare("pve1", { user: "deploy", knownHosts: ["/known"] }));
  t.deepEqual(
    hops.map(({ name, user, address, port }) => `${name}: ${user}@${address}:${port}`),
    ["first: me@first:2201", "second: jumper@10.0.0.2:2202", "pve1: deploy@pve1:22"],
  );
  t.true(hops.every(({ knownHostsFiles: [file] }) => file === "/known"));
});

test("a jump host of the inventory is reached as the inventory says, through its own jump hosts too", async (t) => {
  await using home = await makeHome();
  const bastion = bare("10.1.0.1", {
    name: "bastion",
    user: "jumper",
    port: 2201,
    hostKey: "SHA256:pin",
    proxyJump: "gate",
  });
  const target = bare("10.20.0.1", { name: "pve1", user: "deploy", proxyJump: "bastion" });
  const hops = await route(home, target, [target, bastion]);
  t.deepEqual(
    hops.map(({ name, user, address, port }) => `${name}: ${user}@${address}:${port}`),
    ["gate: jumper@gate:22", "bastion: jumper@10.1.0.1:2201", "pve1: deploy@10.20.0.1:22"],
  );
  t.deepEqual(
    hops.map(({ hostKeyPin }) => hostKeyPin),
    [undefined, "SHA256:pin", undefined],
  );
});

test("a way that leads in a circle is refused", async (t) => {
  await using home = await makeHome();
  await home.write(".ssh/config", "Host a\n ProxyJump b\nHost b\n ProxyJump a\n");
  await t.throwsAsync(route(home, bare("a", { name: "a" })), {
    code: "INVALID_FILE",
    message: "the way to a leads through a twice",
  });
});

for (const [text, expected] of [
  ["ssh://me@jump:2222", "me@jump:2222"],
  ["[2001:db8::1]:2222", "me@2001:db8::1:2222"],
  ["2001:db8::1", "me@2001:db8::1:22"],
  ["jump:99999", undefined],
  ["a b", undefined],
  ["", undefined],
] as const)
  test(`"${text}" is ${expected === undefined ? "no" : "a"} jump host`, async (t) => {
    await using home = await makeHome();
    const resolved = route(home, bare("pve1", { proxyJump: text }));
    if (expected === undefined) {
      await t.throwsAsync(resolved, { code: "INVALID_FILE" });
      return;
    }
    const [{ user, address, port }] = await resolved;
    t.is(`${user}@${address}:${port}`, expected);
  });

test("what nexcage cannot do is refused by name, not passed over", async (t) => {
  await using home = await makeHome();
  await home.write(".ssh/config", "Host pve1\n ProxyCommand nc %h %p\nHost pve2\n Port many\n");
  await t.throwsAsync(route(home, bare("pve1")), {
    code: "INVALID_FILE",
    message: `${home.file(".ssh/config")} reaches pve1 through a ProxyCommand, which nexcage cannot`,
  });
  await t.throwsAsync(route(home, bare("pve2")), { code: "INVALID_FILE", message: /"many" is not a port/ });
});

(hasSshd ? test : test.skip)("a host is reached by its name in ~/.ssh/config alone", async (t) => {
  await using world = await makeWorld();
  const { address, port } = world.sshd;
  await world.home.write(
    ".ssh/config",
    `Host my-pve\n HostName ${address}\n Port ${port}\n IdentityFile ~/id\n User ${user}\n`,
  );
  await using transport = await world.connect(bare("my-pve"));
  t.is((await run(transport, ["echo", "hello"])).stdout, "hello\n");
});
