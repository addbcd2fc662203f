import test from "ava";
import { fleet, inventory, read } from "./reading.ts";

/* Words of the format that this version does not act on: each is refused by name, never ignored. */

const container = (word: string) => inventory("pve1:") + fleet(`web: {rootfs: ./r, command: [x], ${word}}`);
const top = (word: string) => inventory("pve1:") + fleet("web: {rootfs: ./r, command: [x]}", `${word}\n`);

const refused: [name: string, text: string][] = [
  ...[
    "image: ghcr.io/acme/web:2.4",
    "healthcheck: {test: [CMD, x]}",
    "restart: always",
    "secrets: [password]",
    "configs: [{source: a, target: /b}]",
    "hooks: {}",
  ].map((word): [string, string] => [word.replace(/:.*/s, ""), container(word)]),
  ...[
    "require_environment: true",
    "registries: {}",
    "images: {}",
    "secrets: {}",
    "configs: {}",
    "hooks: {}",
    "notify: []",
  ].map((word): [string, string] => [word.replace(/:.*/s, ""), top(word)]),
  ["max_unavailable", top("limits: {max_unavailable: 1}")],
  ["canary", container("update: {canary: 1}")],
  ["max_parallel", top("update: {max_parallel: 1, snapshot: auto}")],
  ["ttl", top("lock: {ttl: 2m}")],
  ["defer", top("on_unreachable: defer")],
  ["vm", container("runtime: vm")],
  ["machine", container("proxmox: {machine: q35}")],
  ["agent", container("proxmox: {agent: true}")],
  ["protect", container("volumes: [{type: volume, source: a, target: /b, size: 1g, protect: true}]")],
  ["healthy", container("depends_on: {api: {condition: healthy}}")],
  ["completed_successfully", container("depends_on: {api: {condition: completed_successfully}}")],
  ["clusters", inventory("pve1:", "clusters: {hel: {discover: pve1}}\n")],
  ["transport", inventory("pve1: {ssh: {transport: openssh}}")],
];
for (const [index, [name, text]] of refused.entries())
  test(`${name} is refused as not supported in this version (${index + 1})`, (t) => {
    const about = read(text).mistakes.filter((line) =>
      line.includes(`"${name}" is not supported in this version`),
    );
    t.is(about.length, 1);
    t.regex(about[0] ?? "", /^fleet\.yaml:\d+:\d+: /);
  });
