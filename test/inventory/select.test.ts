import test from "ava";
import { select, selectHosts } from "../../controller/inventory/select.ts";
import { fleet, inventory, read } from "./reading.ts";

const resolved = read(
  inventory(
    "pve1:\npve2:\npve3:\nbuild:",
    "groups:\n  hel: {hosts: [pve1, pve2]}\n  edge: {hosts: [pve2, pve3]}\n",
  ) +
    fleet(
      [
        "web: {rootfs: ./r, command: [x], replicas: 3, placement: {constraints: [group == hel]}}",
        "db: {rootfs: ./r, command: [x], host: pve1}",
        "webhook: {rootfs: ./r, command: [x], host: pve3}",
      ].join("\n"),
    ),
);

const patterns: [pattern: string, selected: string[]][] = [
  ["pve1", ["pve1"]],
  ["pve1,pve3", ["pve1", "pve3"]],
  ["pve1:pve3", ["pve1", "pve3"]],
  ["hel", ["pve1", "pve2"]],
  ["all", ["pve1", "pve2", "pve3", "build"]],
  ["*", ["pve1", "pve2", "pve3", "build"]],
  ["pve*", ["pve1", "pve2", "pve3"]],
  ["pve?,build", ["pve1", "pve2", "pve3", "build"]],
  ["pve[12]", ["pve1", "pve2"]],
  ["pve[!12]", ["pve3"]],
  ["hel,&edge", ["pve2"]],
  ["hel,edge,!pve2", ["pve1", "pve3"]],
  ["!hel", ["pve3", "build"]],
  ["!hel,edge", ["pve3"]],
  ["&edge", ["pve2", "pve3"]],
  ["all,!pve*", ["build"]],
];
for (const [pattern, selected] of patterns)
  test(`--limit ${pattern} selects ${selected}`, (t) =>
    t.deepEqual([...selectHosts(pattern, resolved.hosts)].sort(), selected.toSorted()));

const selectors: [selector: string, selected: string[]][] = [
  ["web-1", ["web-1"]],
  ["web", ["web-1", "web-2", "web-3"]],
  ["web-*", ["web-1", "web-2", "web-3"]],
  ["web*", ["web-1", "web-2", "web-3", "webhook"]],
  ["db@pve1", ["db"]],
  ["*@pve3", ["webhook"]],
  ["db,webhook", []],
];
for (const [selector, selected] of selectors)
  test(`${selector} selects ${selected.join(", ") || "nothing"}`, (t) => {
    const chosen = () =>
      select(resolved, { containers: [selector] })
        .wanted.map(({ id }) => String(id))
        .sort();
    if (selected.length === 0) t.throws(chosen, { code: "SELECTION_EMPTY" });
    else t.deepEqual(chosen(), selected);
  });

test("nothing asked for selects everything", (t) => {
  const { hosts, wanted, fleetWide, matches } = select(resolved, { containers: [] });
  t.is(hosts.length, 4);
  t.is(wanted.length, 5);
  t.is(fleetWide.length, 5);
  t.true(matches({ host: "pve1", id: "left-long-ago" }));
});

test("only the hosts that a selection can mean are looked at", (t) => {
  const hosts = (limit: string | undefined, ...containers: string[]) =>
    select(resolved, { limit, containers }).hosts.map(({ name }) => name);
  t.deepEqual(hosts(undefined, "db@pve1"), ["pve1"]);
  t.deepEqual(hosts("hel", "web"), ["pve1", "pve2"]);
  t.deepEqual(hosts("!hel"), ["build", "pve3"]);
});

test("a replica that no file names any more is still meant by its key, and by nothing else", (t) => {
  const { matches } = select(resolved, { containers: ["web"] });
  t.true(matches({ host: "pve3", id: "web-9" }));
  t.false(matches({ host: "pve3", id: "webhook" }));
  t.false(matches({ host: "pve3", id: "webs-1" }));
});

test("--limit and selectors hold together", (t) => {
  const { wanted, matches } = select(resolved, { limit: "pve1", containers: ["db", "web"] });
  t.true(wanted.every(({ host }) => host === "pve1"));
  t.false(matches({ host: "pve2", id: "web-1" }));
});

const empty: { title: string; select: () => unknown; message: string; hint: string | undefined }[] = [
  {
    title: "a term of --limit that nobody knows is refused, also an excluded one",
    select: () => select(resolved, { limit: "all,!pev1", containers: [] }),
    message: '"pev1" matches no host or group',
    hint: 'did you mean "pve1"?',
  },
  {
    title: "a pattern that leaves no host is refused",
    select: () => select(resolved, { limit: "hel,!pve1,!pve2", containers: [] }),
    message: '"hel,!pve1,!pve2" matches no host',
    hint: undefined,
  },
  {
    title: "a container that nobody knows is refused, and the nearest named",
    select: () => select(resolved, { containers: ["web", "webhok"] }),
    message: '"webhok" matches no container',
    hint: 'did you mean "webhook"?',
  },
  {
    title: "a container that is elsewhere is refused with where it is",
    select: () => select(resolved, { containers: ["db@pve3"] }),
    message: '"db@pve3" matches no container',
    hint: "db is on pve1",
  },
  {
    title: "a container that --limit leaves out is refused with where it is",
    select: () => select(resolved, { limit: "edge", containers: ["db"] }),
    message: '"db" matches no container',
    hint: "db is on pve1",
  },
];
for (const { title, select: run, message, hint } of empty)
  test(title, (t) => {
    const error = t.throws(run, { code: "SELECTION_EMPTY", message });
    t.like(error, { hint });
  });

test("what may have left the fleet can be selected though no file names it", (t) => {
  t.deepEqual(select(resolved, { containers: ["old"], mayHaveLeft: true }).wanted, []);
});

test("what is no pattern is a mistake of usage", (t) => {
  t.throws(() => select(resolved, { containers: ["web-[z-a]"] }), { code: "USAGE" });
});

test("each selector must match what is there: a word too many is refused before anything is done", (t) => {
  const there = [
    { host: "pve1", id: "db" },
    { host: "pve2", id: "web-9" },
  ];
  const choose = (...containers: string[]) => select(resolved, { containers, mayHaveLeft: true });
  t.notThrows(() => choose("db", "web").requireEach(there));
  t.notThrows(() => choose().requireEach(there));
  t.throws(() => choose("db", "SIGKILL").requireEach(there), {
    code: "SELECTION_EMPTY",
    message: '"SIGKILL" matches no container that is there',
  });
  t.throws(() => choose("db@pve2").requireEach(there), { code: "SELECTION_EMPTY" });
});
