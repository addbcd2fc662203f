import test from "ava";
import { fleet, inventory, read } from "./reading.ts";

const one = (words: string) => read(inventory("pve1:") + fleet(words));
const specOf = (words: string) => {
  const { fleet: resolved, mistakes } = one(`web: {rootfs: ./r, command: [x], ${words}}`);
  const { id, runtime, source, command, ...said } = resolved?.wanted[0]?.spec ?? {};
  return { mistakes, said };
};

test("what a container does not say is not in its spec, so that a later default is no change", (t) => {
  t.deepEqual(
    one("web: {rootfs: ./r, command: [/bin/app, 8080]}").fleet?.wanted.map(({ spec }) => spec as unknown),
    [
      {
        id: "web",
        runtime: "crun",
        source: { kind: "rootfs", path: "/srv/shop/r", place: { file: "fleet.yaml", line: 10, column: 17 } },
        command: ["/bin/app", "8080"],
      },
    ],
  );
});

const meanings: { words: string; said: object }[] = [
  { words: "environment: {A: 1, B: true, C: x}", said: { environment: { A: "1", B: "true", C: "x" } } },
  { words: "environment: [A=1, B=x=y, C=]", said: { environment: { A: "1", B: "x=y", C: "" } } },
  { words: "environment: {}", said: {} },
  {
    words: "user: 1000:1000, working_dir: /srv, hostname: web-1",
    said: { user: "1000:1000", workingDir: "/srv", hostname: "web-1" },
  },
  { words: "user: 1000", said: { user: "1000" } },
  {
    words: "volumes: [/a:/b, /c:/d:ro]",
    said: {
      mounts: [
        { type: "bind", source: "/a", target: "/b" },
        { type: "bind", source: "/c", target: "/d", readOnly: true },
      ],
    },
  },
  {
    words:
      'volumes: [{type: bind, source: /a, target: /b, read_only: true}, {type: tmpfs, target: /t, tmpfs: {size: 64m, mode: "1777"}}], tmpfs: /tmp',
    said: {
      mounts: [
        { type: "bind", source: "/a", target: "/b", readOnly: true },
        { type: "tmpfs", target: "/t", sizeBytes: 64 * 1024 ** 2, mode: 0o1777 },
        { type: "tmpfs", target: "/tmp" },
      ],
    },
  },
  {
    words: "resources: {cpus: 0.5, memory: 1.5g, pids: 64}",
    said: { resources: { cpus: 0.5, memoryBytes: 1.5 * 1024 ** 3, pids: 64 } },
  },
  { words: "read_only: true", said: { readOnly: true } },
  { words: "read_only: false", said: {} },
  {
    words: "cap_add: [net_admin, CAP_SYS_TIME, net_admin], cap_drop: [ALL]",
    said: { capAdd: ["CAP_NET_ADMIN", "CAP_SYS_TIME"], capDrop: ["ALL"] },
  },
  { words: "labels: [team=shop]", said: { labels: { team: "shop" } } },
  {
    words: "stop_signal: term, stop_grace_period: 1m30s",
    said: { stopSignal: "SIGTERM", stopGracePeriodMs: 90_000 },
  },
  { words: "stop_signal: 3", said: { stopSignal: "SIGQUIT" } },
  { words: "stop_signal: SIGRTMIN+3", said: { stopSignal: "SIGRTMIN+3" } },
];
for (const { words, said } of meanings)
  test(`${words} is understood`, (t) => t.deepEqual(specOf(words), { mistakes: [], said }));

test("a bundle is a path on the host, and what its config.json says is refused beside it", (t) => {
  t.like(one("web: {bundle: /srv/web, labels: {a: b}}").fleet?.wanted[0]?.spec, {
    source: { kind: "bundle", path: "/srv/web" },
    labels: { a: "b" },
  });
  t.deepEqual(one("web: {bundle: /srv/web, command: [x], user: me, tmpfs: [/tmp], rootfs: ./r}").mistakes, [
    'fleet.yaml:10:66: "rootfs" cannot stand beside "bundle" · its files come from one of the two',
    'fleet.yaml:10:27: "command" cannot stand beside "bundle" · the bundle\'s config.json says it',
    'fleet.yaml:10:41: "user" cannot stand beside "bundle" · the bundle\'s config.json says it',
    'fleet.yaml:10:51: "tmpfs" cannot stand beside "bundle" · the bundle\'s config.json says it',
  ]);
});

const wrong: { title: string; words: string; mistakes: string[] }[] = [
  {
    title: "an unknown word is refused with the nearest known one, at any depth",
    words:
      "web: {rootfs: ./r, command: [x], resources: {memroy: 1g}, volumes: [{type: tmpfs, taget: /t, target: /t}]}",
    mistakes: [
      'fleet.yaml:10:48: "memroy" is not a field of resources · did you mean "memory"?',
      'fleet.yaml:10:85: "taget" is not a field of a volume · did you mean "target"?',
    ],
  },
  {
    title: "compose's other words are refused with what to write instead",
    words: "web: {rootfs: ./r, command: [x], deploy: {replicas: 2}, mem_limit: 1g}",
    mistakes: [
      'fleet.yaml:10:36: "deploy" is not a field of a container · write replicas, mode, placement and resources directly into the container',
      'fleet.yaml:10:59: "mem_limit" is not a field of a container · write "memory" under "resources"',
    ],
  },
  {
    title: "a command as text is refused, with the list that it would be",
    words: "web: {rootfs: ./r, command: nginx -g 'daemon off;'}",
    mistakes: [
      `fleet.yaml:10:31: a command is a list · write ["nginx", "-g", "'daemon", "off;'"], or ["/bin/sh", "-c", …] for a shell`,
    ],
  },
  {
    title: "neither rootfs nor bundle is refused, and a rootfs without a command",
    words: "web: {user: me}\napi: {rootfs: ./r}",
    mistakes: [
      'fleet.yaml:10:3: either "rootfs" or "bundle" is missing · rootfs: a folder or tar beside this file; bundle: a folder on the host',
      'fleet.yaml:11:3: "command" is missing · a rootfs does not say what to run',
    ],
  },
  {
    title: "wrong types say what stands there and what is expected",
    words: "web: {rootfs: [1], command: [x], resources: 5, environment: x, volumes: {}, labels: {a: }}",
    mistakes: [
      "fleet.yaml:10:17: a list is not a path · from the folder of this file, absolute, or below ~/",
      "fleet.yaml:10:63: a map is expected, or a list of NAME=value",
      "fleet.yaml:10:75: a map where a list is expected",
      "fleet.yaml:10:47: 5 where a map is expected",
      'fleet.yaml:10:91: there is no value · for an empty text write ""',
    ],
  },
  {
    title: "paths that leave their root, relative ones and named volumes of crun are refused",
    words: "web: {rootfs: ./r, command: [x], volumes: [./a:/b, data:/b, /a/../b:/c, /x], working_dir: ../x}",
    mistakes: [
      'fleet.yaml:10:93: "../x" is not an absolute path · beginning with "/", without "." and ".." in it',
      'fleet.yaml:10:46: "./a:/b" is not a volume · as in /srv/data:/data, /srv/data:/data:ro or NAME:/data; both paths absolute',
      'fleet.yaml:10:63: "/a/../b:/c" is not a volume · as in /srv/data:/data, /srv/data:/data:ro or NAME:/data; both paths absolute',
      'fleet.yaml:10:75: "/x" is not a volume · as in /srv/data:/data, /srv/data:/data:ro or NAME:/data; both paths absolute',
    ],
  },
  {
    title: "something mounted twice on one place is refused",
    words: "web: {rootfs: ./r, command: [x], volumes: [/a:/tmp/, /b:/], tmpfs: [/tmp]}",
    mistakes: [
      "fleet.yaml:10:56: nothing can be mounted over the container's root",
      "fleet.yaml:10:71: something is mounted on /tmp already",
    ],
  },
  {
    title: "what means nothing for a kind of volume is refused",
    words:
      "web: {rootfs: ./r, command: [x], volumes: [{type: bind, target: /b, tmpfs: {size: 1m}}, {type: tmpfs, source: /a, target: /t}]}",
    mistakes: [
      'fleet.yaml:10:78: "tmpfs" means nothing for a bind volume',
      'fleet.yaml:10:46: "source" is missing · the path on the host',
      'fleet.yaml:10:113: "source" means nothing for a tmpfs',
    ],
  },
  {
    title: "unknown capabilities and signals are refused",
    words: "web: {rootfs: ./r, command: [x], cap_add: [net_amdin], stop_signal: SIGFOO}",
    mistakes: [
      'fleet.yaml:10:46: "net_amdin" is not a capability · did you mean "CAP_NET_ADMIN"?',
      'fleet.yaml:10:71: "SIGFOO" is not a signal · as in SIGTERM, TERM or 15',
    ],
  },
  {
    title: "variables of the environment without a possible name are refused",
    words:
      "web: {rootfs: ./r, command: [x], environment: {a-b: 1}}\napi: {rootfs: ./r, command: [x], environment: [A]}",
    mistakes: [
      'fleet.yaml:10:50: "a-b" is not the name of an environment variable · letters, digits and _ only, beginning with a letter or _',
      'fleet.yaml:11:50: "A" is not a variable with its value · as in NAME=value',
    ],
  },
];
for (const { title, words, mistakes } of wrong)
  test(title, (t) => t.deepEqual(one(words).mistakes, mistakes));

for (const id of ["../x", "", "x".repeat(300), "a\0b", "a\nb", ".a", "a/b", "a b"])
  test(`${JSON.stringify(id.slice(0, 12))} (${id.length}) is refused as a container's name`, (t) => {
    const { mistakes } = one(`${JSON.stringify(id)}: {rootfs: ./r, command: [x]}`);
    t.is(mistakes.length, 1);
    t.regex(mistakes[0] ?? "", /^fleet\.yaml:10:3: ".*" is not a container id · letters, digits/);
    t.notRegex(mistakes[0] ?? "", /[\0\n]/);
  });

const guest = (words: string) => `{runtime: lxc, template: "local:vztmpl/a.tar.zst", ${words}}`;
const withVolumes = (containers: string, volumes: string) =>
  read(inventory("pve1: {vars: {fast: nvme}}") + fleet(containers, `volumes: ${volumes}\n`));

test("a volume is said once, under volumes, and mounted by its name; what its mount says goes before", (t) => {
  const { fleet: resolved, mistakes } = withVolumes(
    `db: ${guest('volumes: ["data:/var/lib/db:ro", {type: volume, source: logs, target: /log, size: 2g}]')}`,
    '{data: {size: 8g, storage: "{{ fast }}", backup: true}, logs: {size: 1g}}',
  );
  t.deepEqual(mistakes, []);
  t.deepEqual(resolved?.wanted[0]?.spec.mounts, [
    {
      ...{ type: "volume", name: "data", target: "/var/lib/db", sizeBytes: 8 * 1024 ** 3 },
      ...{ storage: "nvme", backup: true, readOnly: true },
    },
    { type: "volume", name: "logs", target: "/log", sizeBytes: 2 * 1024 ** 3 },
  ]);
});

test("each replica has a volume of its own, and two containers cannot have one", (t) => {
  const mount = 'volumes: ["data:/data"]';
  const replicas = withVolumes(`db: ${guest(`${mount}, replicas: 3`)}`, "{data: {size: 1g}}");
  t.deepEqual(replicas.mistakes, []);
  const two = withVolumes(`db: ${guest(mount)}\nweb: ${guest(mount)}`, "{data: {size: 1g}}");
  t.deepEqual(two.mistakes, [
    `fleet.yaml:12:59: volume "data" would be of both "db" and "web" · a volume of Proxmox's belongs to one container: give the other its own`,
  ]);
});

test("a volume without a size, of crun, of half a MiB or that nobody mounts is refused", (t) => {
  const text = [
    `one: ${guest('volumes: ["data:/data"]')}`,
    "two: {rootfs: ./r, command: [x], volumes: [{type: volume, source: a, target: /a, size: 1g}]}",
    `three: ${guest("volumes: [{type: volume, source: a, target: /a, size: 1.5k}]")}`,
    `four: ${guest("volumes: [{type: bind, source: data, target: /a, size: 1g}]")}`,
  ].join("\n");
  t.deepEqual(withVolumes(text, "{idle: {size: 1g, protekt: true}}").mistakes, [
    'fleet.yaml:9:28: "protekt" is not a field of the definition of a volume · its fields: storage, size, backup',
    'fleet.yaml:9:11: no container mounts volume "idle" · as in volumes: [idle:/data]',
    'fleet.yaml:11:69: volume "data" has no size · say it under "volumes" of the fleet, or here: size: 8g',
    'fleet.yaml:12:46: a named volume needs "runtime: lxc" · here: a path of the host, as in /srv/data:/data',
    "fleet.yaml:13:115: 1536 bytes are not a whole number of MiB · Proxmox counts in MiB: write 1m",
    'fleet.yaml:14:115: "size" means nothing for a bind',
    'fleet.yaml:14:91: "data" is not an absolute path · for a volume write "type: volume"',
  ]);
});

test("a snapshot before a change is the fleet's word where a container has none, and required needs lxc", (t) => {
  const on = (update: string, ...containers: string[]) =>
    read(inventory("pve1:") + fleet(containers.join("\n"), update));
  const db = "db: {runtime: lxc, template: debian-13-standard}";
  const web = "web: {runtime: lxc, template: debian-13-standard, update: {snapshot: none}}";
  const { fleet: resolved, mistakes } = on("update: {snapshot: required}\n", db, web);
  t.deepEqual(mistakes, []);
  t.deepEqual(
    resolved?.wanted.map(({ id, snapshot }) => [String(id), snapshot]),
    [
      ["db", "required"],
      ["web", "none"],
    ],
  );
  const crun = "app: {rootfs: ./r, command: [x]}";
  t.deepEqual(on("update: {snapshot: auto}\n", crun).mistakes, []);
  for (const [update, container, place] of [
    ["update: {snapshot: required}\n", crun, "11:3"],
    ["", "app: {rootfs: ./r, command: [x], update: {snapshot: required}}", "10:45"],
  ] as const)
    t.deepEqual(on(update, container).mistakes, [
      `fleet.yaml:${place}: "snapshot: required" needs "runtime: lxc" · crun makes no snapshots: say update: {snapshot: auto} or none`,
    ]);
});
