import test from "ava";
import { type Candidate, makePlacer, type Where } from "../../controller/inventory/placement.ts";
import { fleet, inventory, read } from "./reading.ts";

const inZone = (zone: string, ...names: string[]): Candidate[] =>
  names.map((name) => ({ name, groups: [zone === "dc2" ? "edge" : "prod"], labels: { zone } }));
const hosts = [...inZone("hel", "pve1", "pve2", "pve3"), ...inZone("dc2", "pve4")];

function place(name: string, where: Partial<Where>, on: Candidate[] = hosts) {
  const placed = makePlacer(on)(name, { mode: "replicated", replicas: 1, constraints: [], ...where });
  if (!Array.isArray(placed)) throw new Error(placed.message);
  return placed;
}

function counts(names: string[]): number[] {
  return [...Map.groupBy(names, (name) => name).values()].map((same) => same.length).sort();
}

test("replicas are spread over hosts, and never more than one apart", (t) => {
  for (const replicas of [1, 3, 4, 7, 10]) {
    const on = counts(place("web", { replicas }).map(({ host }) => host));
    t.true(Math.max(...on) - Math.min(...on) <= 1, `${replicas}: ${on}`);
  }
});

test("replicas are spread over the values of a label first, then over the hosts of each", (t) => {
  const placed = place("web", { replicas: 4, spreadBy: "zone" });
  t.is(placed.filter(({ host }) => host === "pve4").length, 2);
  t.deepEqual(counts(placed.map(({ host }) => host)), [1, 1, 2]);
});

test("a replica stays where it is when others are added after it", (t) => {
  const five = place("web", { replicas: 5, spreadBy: "zone" });
  t.deepEqual(
    five.slice(0, 3).map(({ host }) => host),
    place("web", { replicas: 3, spreadBy: "zone" }).map(({ host }) => host),
  );
});

test("the order of the hosts does not matter", (t) => {
  t.deepEqual(place("web", { replicas: 3 }, hosts.toReversed()), place("web", { replicas: 3 }));
});

test("containers of one replica do not all land on the same host", (t) => {
  const on = Array.from({ length: 200 }, (_, index) => place(`app${index}`, {})[0]?.host ?? "");
  t.is(new Set(on).size, 4);
  t.true(Math.max(...counts(on)) < 80, "about 50 each");
});

test("a host that goes moves only what was on it", (t) => {
  const names = Array.from({ length: 200 }, (_, index) => `app${index}`);
  const without = hosts.filter(({ name }) => name !== "pve2");
  for (const name of names) {
    const [before] = place(name, {});
    if (before?.host !== "pve2") t.is(place(name, {}, without)[0]?.host, before?.host);
  }
});

test("constraints of groups and labels choose the hosts, and mode: global puts one on each", (t) => {
  const on = (...constraints: string[]) =>
    place("agent", { mode: "global", constraints }).map(({ host }) => host);
  t.deepEqual(on("group == prod"), ["pve1", "pve2", "pve3"]);
  t.deepEqual(on("group != prod"), ["pve4"]);
  t.deepEqual(on("label.zone == dc2"), ["pve4"]);
  t.deepEqual(on("label.zone != dc2", "group == prod"), ["pve1", "pve2", "pve3"]);
});

test("the plan can say why a container is where it is", (t) => {
  t.deepEqual(
    [
      place("db", { host: "pve1" }),
      place("web", { replicas: 1, constraints: ["group == edge"] }),
      place("web", { replicas: 1, spreadBy: "zone", constraints: ["group == edge"] }),
      place("agent", { mode: "global", constraints: ["group == edge"] }),
    ].map(([placed]) => placed?.reason),
    [
      "host: pve1",
      "one of 1 host with group == edge",
      "spread over zone: dc2, 1 host with group == edge",
      "global: one on each of 1 host with group == edge",
    ],
  );
});

const three = inventory(
  "pve1: {labels: {zone: hel}}\npve2: {labels: {zone: hel}}\nbuild:",
  "groups:\n  prod: {hosts: [pve1, pve2]}\n",
);
const mistakes = (words: string) =>
  read(three + fleet(`web: {rootfs: ./r, command: [x], ${words}}`)).mistakes;

test("several replicas are called web-1 to web-n, a single one and each global one web", (t) => {
  const ids = (words: string) =>
    read(three + fleet(`web: {rootfs: ./r, command: [x], ${words}}`))
      .fleet?.wanted.map(({ id }) => String(id))
      .sort();
  t.deepEqual(ids("replicas: 3"), ["web-1", "web-2", "web-3"]);
  t.deepEqual(ids("replicas: 1"), ["web"]);
  t.deepEqual(ids("replicas: 0"), []);
  t.deepEqual(ids("mode: global"), ["web", "web", "web"]);
});

const wrong: { title: string; words: string; mistakes: string[] }[] = [
  {
    title: "an unknown host is refused, and the nearest one named",
    words: "host: pve3",
    mistakes: ['fleet.yaml:14:42: there is no host "pve3" · did you mean "pve1"?'],
  },
  {
    title: "a group or label that no host has is a slip of the pen",
    words: 'placement: {constraints: ["group == prd"]}',
    mistakes: ['fleet.yaml:14:62: no host is in a group "prd" · did you mean "prod"?'],
  },
  {
    title: "a label that no host has is refused",
    words: 'placement: {constraints: ["group == prod", "label.rack == a"]}',
    mistakes: ['fleet.yaml:14:79: no host has a label "rack" · labels: zone'],
  },
  {
    title: "constraints that no host fulfils are refused",
    words: 'placement: {constraints: ["group != prod", "label.zone == hel"]}',
    mistakes: ["fleet.yaml:14:61: none of 3 hosts fits with group != prod and label.zone == hel"],
  },
  {
    title: "what is no constraint is refused",
    words: 'placement: {constraints: ["zone = hel", "node.role == x"]}',
    mistakes: [
      'fleet.yaml:14:62: "zone = hel" is not a constraint · as in "group == prod", "group != edge", "label.zone == hel"',
      'fleet.yaml:14:76: "node.role == x" is not a constraint · as in "group == prod", "group != edge", "label.zone == hel"',
    ],
  },
  {
    title: "more replicas than max_per_host leaves room for are refused",
    words: "replicas: 7, placement: {max_per_host: 2}",
    mistakes: ["fleet.yaml:14:75: 7 replicas do not fit on 3 hosts with max_per_host: 2"],
  },
  {
    title: "spreading by a label that a host does not have is refused",
    words: "replicas: 2, placement: {spread: {by: zone}}",
    mistakes: [
      'fleet.yaml:14:69: host build has no label "zone" to spread by · give it one, or keep it out by a constraint',
    ],
  },
  {
    title: "host and placement, global and replicas exclude each other",
    words: 'host: pve1, placement: {constraints: ["group == prod"]}',
    mistakes: ['fleet.yaml:14:60: "constraints" cannot stand beside "host" · the host is chosen already'],
  },
  {
    title: "a global container has no number of replicas and no host",
    words: "mode: global, replicas: 2, host: pve1",
    mistakes: [
      'fleet.yaml:14:63: "host" cannot stand beside "mode: global" · there is one on each host that fits',
      'fleet.yaml:14:50: "replicas" cannot stand beside "mode: global" · there is one on each host that fits',
    ],
  },
  {
    title: "a dependency that nobody knows is refused",
    words: "depends_on: [wbe]",
    mistakes: ['fleet.yaml:14:48: there is no container "wbe" · did you mean "web"?'],
  },
  {
    title: "a container cannot wait for itself",
    words: "depends_on: {web: {condition: started}}",
    mistakes: ["fleet.yaml:14:36: containers wait for each other: web → web"],
  },
  {
    title: "conditions of later versions are refused by name",
    words: "depends_on: {web: {condition: healthy}}",
    mistakes: ['fleet.yaml:14:66: "healthy" is not supported in this version · here: started'],
  },
];
for (const { title, words, mistakes: expected } of wrong)
  test(title, (t) => t.deepEqual(mistakes(words), expected));

test("containers that wait for each other are refused with the way round", (t) => {
  const one = (name: string, on: string) => `${name}: {rootfs: ./r, command: [x], depends_on: [${on}]}`;
  t.deepEqual(read(three + fleet([one("a", "b"), one("b", "c"), one("c", "a")].join("\n"))).mistakes, [
    "fleet.yaml:14:34: containers wait for each other: a → b → c → a",
  ]);
});

test("an id that two containers would have is refused, even on two hosts", (t) => {
  const text =
    three +
    fleet("web: {rootfs: ./r, command: [x], replicas: 2}\nweb-2: {rootfs: ./r, command: [x], host: build}");
  t.deepEqual(
    read(text).mistakes.map((line) => line.replace(/^.*?: /, "")),
    ['"web-2" would be of both "web" (fleet.yaml:14:3) and "web-2" · give one of them another name'],
  );
});
