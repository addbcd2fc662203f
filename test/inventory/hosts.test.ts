import test from "ava";
import { inventory, read } from "./reading.ts";

const layered = `apiVersion: nexcage/v1
kind: Inventory
defaults:
  ssh: {user: deploy, port: 2222}
  vars: {bridge: vmbr0, gateway: 10.0.0.1}
groups:
  prod:
    children: [hel]
    ssh: {user: prod}
    vars: {bridge: vmbr1}
  hel:
    hosts: [pve1, pve2]
    vars: {bridge: vmbr2}
hosts:
  pve1:
    address: 10.20.0.11
    ssh: {port: 22}
    vars: {bridge: vmbr9}
  pve2:
  build: {connection: local}
`;

test("a host's own word goes before its groups', a child group's before its parent's, and both before the defaults", (t) => {
  const { hosts, mistakes } = read(layered);
  t.deepEqual(mistakes, []);
  const [build, pve1, pve2] = hosts;
  t.like(pve1, {
    name: "pve1",
    connection: { kind: "ssh", address: "10.20.0.11", user: "prod", port: 22 },
    vars: { bridge: "vmbr9", gateway: "10.0.0.1" },
    groups: ["hel", "prod"],
  });
  t.like(pve2, {
    connection: { kind: "ssh", address: "pve2", user: "prod", port: 2222 },
    vars: { bridge: "vmbr2", gateway: "10.0.0.1" },
  });
  t.like(build, { connection: { kind: "local" }, groups: [], vars: { bridge: "vmbr0" } });
});

test("explain names the line that each value of a host comes from", (t) => {
  const { explain } = read(layered, { file: "inventory.yaml" });
  const lines = explain("pve1").map(({ name, value, origin }) =>
    origin.level === "built-in"
      ? `${name} = ${value} (built in)`
      : `${name} = ${value} (${origin.level} ${origin.name}, ${origin.place.line}:${origin.place.column})`,
  );
  t.deepEqual(lines, [
    "address = 10.20.0.11 (host pve1, 16:14)",
    "agent.path = /usr/bin/nexcage-agent (built in)",
    "become = none (built in)",
    "command_timeout = 60000 (built in)",
    "concurrency.host_parallel = 8 (built in)",
    "concurrency.storage_parallel = 1 (built in)",
    "connection = ssh (built in)",
    "ssh.connect_timeout = 10000 (built in)",
    "ssh.host_key_checking = strict (built in)",
    "ssh.port = 22 (host pve1, 17:17)",
    "ssh.user = prod (group prod, 9:17)",
    "vars.bridge = vmbr9 (host pve1, 18:20)",
    "vars.gateway = 10.0.0.1 (defaults defaults, 5:34)",
  ]);
});

test("two groups that differ about a value are refused where neither is within the other", (t) => {
  const text = (host: string) =>
    inventory(host, "groups:\n  a: {hosts: [pve1], vars: {x: 1}}\n  b: {hosts: [pve1], vars: {x: 2}}\n");
  t.deepEqual(read(text("pve1:")).mistakes, [
    'fleet.yaml:5:32: host pve1 is in the groups "a" and "b", which differ about vars.x · set it on the host, or in one of the two only',
  ]);
  t.deepEqual(read(text("pve1: {vars: {x: 3}}")).mistakes, [], "the host decides");
});

test("two groups that say the same are no dispute", (t) => {
  const groups = "groups:\n  a: {hosts: [pve1], vars: {x: 1}}\n  b: {hosts: [pve1], vars: {x: 1}}\n";
  const { hosts, mistakes } = read(inventory("pve1:", groups));
  t.deepEqual(mistakes, []);
  t.deepEqual(hosts[0]?.vars, { x: "1" });
});

test("paths of keys go from the folder of their file, and ~/ is the home folder", (t) => {
  const { hosts } = read(
    inventory("pve1: {ssh: {identity_file: [./keys/id, ~/.ssh/id], known_hosts: /etc/kh}}"),
  );
  t.like(hosts[0]?.connection, {
    identityFiles: ["/srv/shop/keys/id", "/home/me/.ssh/id"],
    knownHosts: ["/etc/kh"],
  });
});

test("what a host with connection: local would ignore is refused", (t) => {
  t.deepEqual(read(inventory("build: {connection: local, address: 10.0.0.1, ssh: {user: me}}")).mistakes, [
    'fleet.yaml:4:30: "address" means nothing with connection: local',
    'fleet.yaml:4:49: "ssh" means nothing with connection: local',
  ]);
});

test("hosts of several documents come together, and a name that stands in two is refused", (t) => {
  const both = `${inventory("pve1:")}---\n${inventory("pve2:\npve1:")}`;
  const { hosts, mistakes } = read(both);
  t.deepEqual(
    hosts.map(({ name }) => name),
    ["pve1", "pve2"],
  );
  t.deepEqual(mistakes, ['fleet.yaml:10:3: "pve1" stands in fleet.yaml:4:3 already']);
});

const wrong: { title: string; text: string; mistakes: string[] }[] = [
  {
    title: "a group within itself is refused with its path",
    text: inventory("pve1:", "groups:\n  a: {children: [b]}\n  b: {children: [c]}\n  c: {children: [a]}\n"),
    mistakes: ["fleet.yaml:4:7: a group is within itself: a → b → c → a"],
  },
  {
    title: "an unknown host in a group is refused, and the nearest one named",
    text: inventory("pve1:\npve2:", "groups:\n  a: {hosts: [pev2]}\n"),
    mistakes: ['fleet.yaml:4:15: there is no host "pev2" · did you mean "pve2"?'],
  },
  {
    title: "an unknown child group is refused; a host among the children is told where it belongs",
    text: inventory("pve1:", "groups:\n  a: {children: [nope, pve1]}\n"),
    mistakes: [
      'fleet.yaml:4:18: there is no group "nope" · groups: a',
      'fleet.yaml:4:24: there is no group "pve1" · it is a host: name it under "hosts"',
    ],
  },
  {
    title: "a group cannot have a host's name, nor be called all",
    text: inventory("pve1:", "groups:\n  pve1: {}\n  all: {}\n"),
    mistakes: [
      'fleet.yaml:4:3: "pve1" is a host too · give the group another name',
      'fleet.yaml:5:3: a group cannot be called "all" · what holds for all stands under defaults',
    ],
  },
  {
    title: "a path of the agent that a sudo rule or a forced command would take for more than a path",
    text: inventory('pve1: {agent: {path: "/usr/bin/nexcage-agent, ALL"}}'),
    mistakes: [
      'fleet.yaml:4:24: "/usr/bin/nexcage-agent, ALL" is not the path of a program · an absolute one, of letters, digits and ._+- only',
    ],
  },
  {
    title: "agent forwarding and unchecked host keys cannot be asked for",
    text: inventory("pve1: {ssh: {forward_agent: true, host_key_checking: no}}"),
    mistakes: [
      'fleet.yaml:4:56: "no" is not one of strict, accept-new',
      "fleet.yaml:4:31: agent forwarding is off, and cannot be turned on · give the host a key of its own",
    ],
  },
  {
    title: "ports, durations and counts say what they are not",
    text: inventory("pve1: {ssh: {port: 70000, connect_timeout: 10}, concurrency: {host_parallel: 0}}"),
    mistakes: [
      "fleet.yaml:4:22: 70000 is not a port · 1 to 65535",
      "fleet.yaml:4:46: 10 is not a duration · as in 500ms, 10s, 1m30s, 2h",
      "fleet.yaml:4:80: 0 is not a whole number from 1 on · as in 1 or 64",
    ],
  },
  {
    title: "a host without a possible name is refused",
    text: inventory('"a b":\n"":\n"-x":'),
    mistakes: ['"a b"', '""', '"-x"'].map(
      (name, index) =>
        `fleet.yaml:${4 + index}:3: ${name} is not a name · letters, digits and _.- only, beginning with a letter or digit, at most 63`,
    ),
  },
];
for (const { title, text, mistakes } of wrong) test(title, (t) => t.deepEqual(read(text).mistakes, mistakes));
