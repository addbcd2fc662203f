import test from "ava";
import { planFleet } from "../../controller/plan/diff.ts";
import type { ProxmoxNode } from "../../shared/proxmox-node.ts";
import type { Network } from "../../shared/spec.ts";
import { compareTemplates, findTemplate } from "../../shared/templates.ts";
import { desired, hosts, observed, type SpecWords } from "./fleets.ts";

const volume = "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst";
const node: ProxmoxNode = {
  name: "pve1",
  architecture: "x64",
  storages: [
    { name: "local", content: ["vztmpl"], isFolder: true },
    { name: "local-zfs", content: ["rootdir", "images"], isFolder: false },
  ],
  templates: [volume],
  bridges: ["vmbr0"],
};
const onBridge = (bridge: string): Network[] => [{ name: "eth0", bridge }];

function plan(spec: SpecWords, before?: SpecWords) {
  const lxc = { runtime: "lxc", source: { kind: "template", volume: "debian-13-standard" } } as const;
  return planFleet({
    fleet: "shop",
    desired: [desired("db@pve1", { spec: { ...lxc, ...spec } })],
    observed: hosts({ pve1: before === undefined ? [] : [observed("db", { spec: { ...lxc, ...before } })] }),
    nodes: new Map([["pve1", node]]),
    unreachable: new Set(),
    prune: false,
  });
}

test("a template by name is the one that the host has, and the plan says which", (t) => {
  t.like(plan({}).changes[0], { kind: "create", template: volume });
});

test("a newer template of that name replaces nothing", (t) => {
  t.is(plan({}, {}).changes[0]?.kind, "keep");
});

test("a template that is not there is downloaded where the fleet says so, to the first storage for it", (t) => {
  const source = { kind: "template", volume: "debian-12-standard" } as const;
  const [change] = plan({ source, proxmox: { templateDownload: true } }).changes;
  t.deepEqual(change?.downloads, { template: "debian-12-standard", storage: "local" });
  t.is(change?.template, undefined);
});

test("what is there is not downloaded again", (t) => {
  t.is(plan({ proxmox: { templateDownload: true } }).changes[0]?.downloads, undefined);
});

test("nothing is downloaded to a storage that keeps no templates", (t) => {
  const source = { kind: "template", volume: "local-zfs:vztmpl/debian-12.tar.zst" } as const;
  // Only Proxmox itself can look there.
  t.is(plan({ source, proxmox: { templateDownload: true } }).changes[0]?.downloads, undefined);
  const nowhere = { kind: "template", volume: "tank:vztmpl/debian-12.tar.zst" } as const;
  const { refused } = plan({ source: nowhere, proxmox: { templateDownload: true } });
  t.regex(refused[0]?.reason ?? "", /no tank:vztmpl.*no storage tank that keeps templates in a folder/);
});

const lacking: { title: string; spec: SpecWords; reason: RegExp }[] = [
  {
    title: "a template that the host does not have is refused, with those that there are",
    spec: { source: { kind: "template", volume: "debian-12-standard" } },
    reason: /^template: this node has no debian-12-standard \(there are local:vztmpl\/debian-13-standard_13/,
  },
  {
    title: "a bridge that the host does not have is refused",
    spec: { networks: onBridge("vmbr9") },
    reason: /^networks: this host has no bridge vmbr9 for eth0 \(its bridges: vmbr0\)/,
  },
  {
    title: "a storage that holds no containers is refused",
    spec: { proxmox: { storage: "local" } },
    reason: /^proxmox\.storage: local is no storage .*\(those that do: local-zfs\)/,
  },
  {
    title: "a volume's storage is looked for too",
    spec: {
      mounts: [{ type: "volume", name: "data", target: "/data", sizeBytes: 2 ** 30, storage: "tank" }],
    },
    reason: /^volumes\.data: tank is no storage/,
  },
];
for (const { title, spec, reason } of lacking)
  test(title, (t) => {
    const { changes, refused } = plan(spec);
    t.deepEqual(changes, []);
    t.is(refused[0]?.kind, "lacks");
    t.regex(refused[0]?.reason ?? "", reason);
  });

test("all that the host lacks is said at once", (t) => {
  const { refused } = plan({ networks: onBridge("vmbr9"), proxmox: { storage: "tank" } });
  t.regex(refused[0]?.reason ?? "", /vmbr9.*; proxmox\.storage: tank/);
});

test("a change of a container that is there needs what changes, and not what it was made from", (t) => {
  const old = { source: { kind: "template", volume: "gone-1" }, networks: onBridge("vmbr9") } as const;
  t.is(plan({ ...old, labels: { a: "b" } }, old).changes[0]?.kind, "update");
  t.regex(plan({ ...old, networks: onBridge("vmbr8") }, old).refused[0]?.reason ?? "", /no bridge vmbr8/);
});

const files = [
  "local:vztmpl/debian-13-standard_13.9-2_amd64.tar.zst",
  "local:vztmpl/debian-13-standard_13.10-1_amd64.tar.zst",
  "local:vztmpl/debian-13-standard_13.11-1_arm64.tar.zst",
  "nas:vztmpl/debian-13-standard_13.10-1_amd64.tar.zst",
  "local:vztmpl/debian-13-standard-extra_14.0-1_amd64.tar.zst",
  "local:vztmpl/mine.tar.gz",
];
const names: [wanted: string, found: string | undefined][] = [
  ["debian-13-standard", files[1]],
  ["debian-13-standard_13.9-2", files[0]],
  ["debian-13-standard_13.9-2_amd64.tar.zst", files[0]],
  ["nas:vztmpl/debian-13-standard_13.10-1_amd64.tar.zst", files[3]],
  ["mine", files[5]],
  ["debian-13", undefined],
  ["debian-13-standard_13.11-1", undefined],
  ["nas:vztmpl/mine.tar.gz", undefined],
];
for (const [wanted, found] of names)
  test(`of several templates ${wanted} is ${found ?? "none"}`, (t) => {
    t.is(findTemplate(wanted, files, { architecture: "x64" }), found);
    t.is(findTemplate(wanted, files.toReversed(), { architecture: "x64" }), found);
  });

test("templates stand in the order of their names, then from the oldest version to the newest", (t) => {
  const sorted = ["debian-9-standard_9.7-1", "debian-13-standard_13.9-2", "debian-13-standard_13.10-1"].map(
    (name) => `local:vztmpl/${name}_amd64.tar.zst`,
  );
  const [oldest = "", ...rest] = sorted;
  t.deepEqual([...rest.toReversed(), oldest].sort(compareTemplates), [...rest, oldest]);
});
