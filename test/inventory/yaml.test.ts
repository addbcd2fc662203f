import test from "ava";
import { fleet, inventory, read } from "./reading.ts";

const mistakes = (text: string, environment: Record<string, string> = {}) =>
  read(text, { environment }).mistakes;
const container = (words: string) => inventory("pve1:") + fleet(`web: {rootfs: ./r, command: [x], ${words}}`);
const specOf = (text: string, environment: Record<string, string> = {}) => {
  const { fleet, mistakes } = read(text, { environment });
  return { mistakes, ...fleet?.wanted[0]?.spec };
};

test("a mistake of the YAML says where it is, and the other documents are checked all the same", (t) => {
  t.deepEqual(mistakes(`a: [1, 2\n${fleet("web: {rootfs: ./r, comand: [x]}")}`), [
    "fleet.yaml:2:1: flow sequence in block collection must be sufficiently indented and end with a ]",
    'fleet.yaml:7:22: "comand" is not a field of a container · did you mean "command"?',
    'fleet.yaml:7:3: "command" is missing · a rootfs does not say what to run',
  ]);
});

test("a key that stands twice is refused and named", (t) => {
  t.deepEqual(mistakes(inventory("pve1:\npve2:\n'pve1': {}")), [
    'fleet.yaml:6:3: "pve1" stands here a second time',
  ]);
});

test("a tag that nobody knows is refused", (t) => {
  t.deepEqual(mistakes(inventory("pve1: !vault x")), ["fleet.yaml:4:9: unresolved tag: !vault"]);
});

test("an alias without its anchor is refused", (t) => {
  t.deepEqual(mistakes(inventory("pve1: *base")), ["fleet.yaml:4:9: there is no anchor &base before this"]);
});

test("ten lines that stand for gigabytes are refused", (t) => {
  const line = (name: string, of: string) =>
    `x-${name}: &${name} [${Array.from({ length: 9 }, () => `*${of}`)}]`;
  const bomb = [
    "x-a: &a [1,1,1,1,1,1,1,1,1]",
    ..."bcdefghi".split("").map((n) => line(n, String.fromCharCode(n.charCodeAt(0) - 1))),
  ];
  t.deepEqual(mistakes(`${bomb.join("\n")}\n${inventory("pve1:")}`), [
    "fleet.yaml:1:1: excessive alias count indicates a resource exhaustion attack",
  ]);
});

test("what is nested thousands deep is refused", (t) => {
  const deep = mistakes(fleet(`web: ${"[".repeat(20_000)}${"]".repeat(20_000)}`));
  t.true(deep.length > 0);
  for (const mistake of deep) t.regex(mistake, /^fleet\.yaml:\d+:\d+: it is nested too deeply$/);
});

test("a document that is neither an inventory nor a fleet is refused", (t) => {
  t.deepEqual(mistakes(`a: 1\n---\nkind: Flet\n---\n[]\n`), [
    'fleet.yaml:1:1: "kind" is missing · write kind: Inventory or kind: Fleet',
    'fleet.yaml:3:7: "Flet" is not a kind of document · did you mean "Fleet"?',
    'fleet.yaml:5:1: "kind" is missing · write kind: Inventory or kind: Fleet',
  ]);
});

test("a second fleet is refused: one command works on one fleet", (t) => {
  const one = fleet("web: {rootfs: ./r, command: [x]}");
  t.deepEqual(mistakes(inventory("pve1:") + one + one), [
    "fleet.yaml:13:1: a second fleet · one command works on one fleet",
  ]);
});

test("x- words, anchors and merge keys are allowed, and what a container says itself goes before", (t) => {
  const text =
    inventory("pve1:") +
    fleet(
      "web: {<<: [*base, *more], command: [own]}",
      "x-base: &base {rootfs: ./r, command: [base], x-note: 1}\nx-more: &more {user: www-data, x-deep: {a: 1}}\n",
    );
  t.like(specOf(text), { mistakes: [], command: ["own"], user: "www-data" });
});

test("a mistake in what is merged in is shown once, where it stands", (t) => {
  const text =
    inventory("pve1:") +
    fleet("web: {<<: *base}\napi: {<<: *base}", "x-base: &base {rootfs: ./r, comand: [x], command: [x]}\n");
  t.deepEqual(
    [...new Set(mistakes(text))],
    ['fleet.yaml:9:29: "comand" is not a field of a container · did you mean "command"?'],
  );
});

test("${NAME} is taken from the environment, ${NAME:-default} where it is not set or empty, $${ is itself", (t) => {
  const text = container('environment: {A: "${A}", B: "x${B:-b}y", C: "${C:-}", D: "$${A} $HOME $$"}');
  t.deepEqual(specOf(text, { A: "a", B: "" }).environment, { A: "a", B: "xby", C: "", D: "${A} $HOME $$" });
});

test("numbers and flags can come from the environment too", (t) => {
  const text = container(
    'resources: {pids: "${PIDS}", cpus: "${CPUS}", memory: "${MEMORY}"}, read_only: "${READ_ONLY}"',
  );
  const { resources, readOnly } = specOf(text, { PIDS: "12", CPUS: "0.5", MEMORY: "64m", READ_ONLY: "true" });
  t.deepEqual(
    { resources, readOnly },
    { resources: { pids: 12, cpus: 0.5, memoryBytes: 64 * 1024 ** 2 }, readOnly: true },
  );
});

test("what the environment does not have is refused, and so is what is no reference", (t) => {
  t.deepEqual(mistakes(container('environment: {A: "${NOPE}", B: "${A-b}", C: "${A"}')), [
    "fleet.yaml:10:53: the environment has no NOPE · set it, or give a default: ${NOPE:-…}",
    'fleet.yaml:10:67: "${A-b}" is not a reference to the environment · write ${NAME} or ${NAME:-default}, and $${ for these two signs themselves',
    'fleet.yaml:10:80: "${A" is not a reference to the environment · write ${NAME} or ${NAME:-default}, and $${ for these two signs themselves',
  ]);
});

test("what comes from the environment is text, and never YAML", (t) => {
  t.like(specOf(container('environment: {A: "${A}"}'), { A: "x}, user: root, labels: {a: b" }), {
    mistakes: [],
    environment: { A: "x}, user: root, labels: {a: b" },
  });
});

test("{{ name }} is what the host has for it, {{ host.name }} its name, and {{{{ itself", (t) => {
  const text =
    inventory("pve1: {vars: {mem: 64m, n: 2}}\npve2: {vars: {mem: 128m, n: 3}}") +
    fleet(
      'web: {rootfs: ./r, mode: global, command: ["{{ host.name }}", "{{{{.Names}}"], resources: {memory: "{{ mem }}", pids: "{{ n }}"}}',
    );
  const { fleet: resolved, mistakes } = read(text);
  t.deepEqual(mistakes, []);
  t.deepEqual(
    resolved?.wanted.map(({ host, spec }) => [host, spec.command, spec.resources]),
    [
      ["pve1", ["pve1", "{{.Names}}"], { memoryBytes: 64 * 1024 ** 2, pids: 2 }],
      ["pve2", ["pve2", "{{.Names}}"], { memoryBytes: 128 * 1024 ** 2, pids: 3 }],
    ],
  );
});

test("a variable that the host does not have, or whose value does not fit, is refused where it is used", (t) => {
  const text =
    inventory("pve1: {vars: {mem: lots, bridge: a}}") +
    fleet('web: {rootfs: ./r, command: ["{{ brigde }}"], resources: {memory: "{{ mem }}"}, user: "{{"}');
  t.deepEqual(mistakes(text), [
    'fleet.yaml:10:32: host pve1 has no variable "brigde" · did you mean "bridge"?',
    'fleet.yaml:10:89: "{{" has a "{{" that is not followed by a name and "}}" · write {{ name }}, and {{{{ for these two signs themselves',
    'fleet.yaml:10:89: "{{" is not a user · as in 1000, 1000:1000 or www-data',
    'fleet.yaml:10:69: "lots" is not a size · as in 64m, 1.5g, 1048576',
  ]);
});

test("a variable cannot stand where a container is placed, nor outside containers, nor without quotes", (t) => {
  t.deepEqual(
    mistakes(
      inventory('pve1: {address: "{{ a }}"}') + fleet('web: {rootfs: ./r, command: [x], host: "{{ a }}"}'),
    ),
    [
      'fleet.yaml:4:19: "{{" can stand in containers only · here ${NAME} takes a value from the environment',
      'fleet.yaml:10:42: "{{" cannot stand here · what differs by host cannot decide where it runs',
    ],
  );
  t.deepEqual(mistakes(container("user: {{ a }}")), [
    'fleet.yaml:10:43: a map or list cannot be a key · quote what is filled in: "${NAME}", "{{ name }}"',
  ]);
});

test("a reference without quotes inside braces is YAML's own, and told so", (t) => {
  t.is(
    mistakes(container("environment: {A: ${A}}"))[0],
    'fleet.yaml:10:54: unexpected flow-map-start at node end · quote what is filled in: "${NAME}", "{{ name }}"',
  );
});

test("a number that would lose its text is refused where text is expected", (t) => {
  t.deepEqual(mistakes(container('environment: {A: 1.10, B: 0644, C: 1.5, D: "1.10"}')), [
    'fleet.yaml:10:53: 1.10 would be read as the number 1.1 · if it is text, quote it: "1.10"',
    'fleet.yaml:10:62: 0644 would be read as the number 644 · if it is text, quote it: "0644"',
  ]);
});

test("an anchor within itself, and a merge of what is no map, are refused", (t) => {
  const within = (text: string) => mistakes(`${text}\n${inventory("pve1:")}`)[0];
  t.is(within("x-a: &a [*a]"), "fleet.yaml:1:10: *a stands within &a itself");
  t.is(within("x-a: &a {b: {<<: *a}}"), "fleet.yaml:1:18: *a stands within &a itself");
  t.is(
    within("x-a: {<<: [1]}"),
    "fleet.yaml:1:11: only maps can be merged in · as in <<: *anchor, or <<: [*one, *two]",
  );
  t.is(
    within("x-a: {<<: x}"),
    "fleet.yaml:1:11: only maps can be merged in · as in <<: *anchor, or <<: [*one, *two]",
  );
});
