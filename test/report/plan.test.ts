import { stripVTControlCharacters } from "node:util";
import test from "ava";
import { type PlanInput, planFleet } from "../../controller/plan/diff.ts";
import { planJson, planText } from "../../controller/report/plan.ts";
import { Digest } from "../../shared/ids.ts";
import { desired, hosts, observed } from "../plan/fleets.ts";

const exit = { exitCode: 3, finishedAt: "2026-01-01T00:00:00Z" };
const image = (digit: string) =>
  ({ kind: "image", digest: Digest.parse(`sha256:${digit.repeat(64)}`) }) as const;

const plan = (input: Partial<PlanInput>) =>
  planFleet({
    fleet: "shop",
    desired: [],
    observed: hosts({}),
    unreachable: new Set(),
    prune: false,
    ...input,
  });

const everything = plan({
  desired: [
    desired("db@pve1", {
      protect: true,
      spec: {
        command: ["/bin/db", "--port", "5432"],
        environment: { DB_PASSWORD: "new", LEVEL: "debug", EMPTY: "" },
        resources: { memoryBytes: 512 * 1024 ** 2 },
        source: image("b"),
      },
    }),
    desired("web-1@pve1", {
      spec: { resources: { memoryBytes: 512 * 1024 ** 2 }, stopGracePeriodMs: 90_000 },
    }),
    desired("web-2@pve2", { placement: "spread over zone: hel, 3 hosts" }),
    desired("job@pve2"),
    desired("moved@pve2"),
    desired("theirs@pve2"),
    desired("well@pve2"),
    desired("far@pve9"),
  ],
  observed: hosts({
    pve1: [
      observed("db", { spec: { environment: { DB_PASSWORD: "old", LEVEL: "info" }, source: image("a") } }),
      observed("web-1", { spec: { resources: { memoryBytes: 256 * 1024 ** 2 } } }),
      observed("moved"),
      observed("old"),
    ],
    pve2: [
      observed("job", { status: "stopped", exit }),
      observed("theirs", { fleet: "other" }),
      observed("well"),
    ],
  }),
  unreachable: new Set(["pve9"]),
});

test("a plan shows host by host what is done and why, each field before and after, its cost, and the sum", (t) => {
  t.is(
    planText(everything, { color: false }),
    `pve1
  -/+ replace  db     rootfs, command and 2 more changed · recreate: its files outside volumes are lost · protected: apply will refuse it
        rootfs                   sha256:aaaaaaaaaaaa → sha256:bbbbbbbbbbbb  (recreate)
        command                  ["/bin/app"] → ["/bin/db", "--port", "5432"]  (recreate)
        environment.DB_PASSWORD  [secret] → [secret]  (recreate)
        environment.EMPTY        (not set) → ""  (recreate)
        environment.LEVEL        info → debug  (recreate)
        resources.memory         (not set) → 512 MiB  (hot)
    - delete   moved  moves to pve2
    ~ update   web-1  resources.memory and stop_grace_period changed · hot
        resources.memory   256 MiB → 512 MiB
        stop_grace_period  (not set) → 1m30s

pve2
    > start    job    is stopped (exit code 3)
    + create   moved  moves here from pve1 · host: pve2
    + create   web-2  is not there · spread over zone: hel, 3 hosts

Refused, and not touched:
  ! theirs@pve2  what is there belongs to fleet "other"

Ours and not wanted any more, but kept (--prune deletes what left the fleet):
  ? old@pve1  left the fleet

Not looked at:
  ! pve9  could not be reached (1 container wanted there)

Plan: 2 to create, 1 to replace, 1 to update, 1 to start, 1 to delete, 1 refused, 1 unchanged.
`,
  );
});

test("a plan says on the line of an update that a snapshot comes first", (t) => {
  const spec = { runtime: "lxc", source: { kind: "template", volume: "debian-13" } } as const;
  const snapshots = plan({
    desired: (["auto", "none", "required"] as const).map((snapshot) =>
      desired(`${snapshot}@pve1`, { spec: { ...spec, hostname: "new" }, snapshot }),
    ),
    observed: hosts({ pve1: ["auto", "none", "required"].map((id) => observed(id, { spec })) }),
  });
  t.deepEqual(
    planText(snapshots, { color: false })
      .split("\n")
      .filter((line) => line.includes(" update ")),
    [
      "    ~ update   auto      hostname changed · restart: it stops and starts again · after a snapshot, where its storage can",
      "    ~ update   none      hostname changed · restart: it stops and starts again",
      "    ~ update   required  hostname changed · restart: it stops and starts again · after a snapshot, or not at all",
    ],
  );
});

test("a plan without changes says that there is nothing to do", (t) => {
  const nothing = plan({ desired: [desired("web@pve1")], observed: hosts({ pve1: [observed("web")] }) });
  t.is(planText(nothing, { color: false }), "Nothing to do: 1 unchanged.\n");
  t.is(planText(plan({ observed: hosts({ pve1: [] }) }), { color: false }), "Nothing to do.\n");
});

test("colours change nothing but the colours", (t) => {
  const coloured = planText(everything, { color: true });
  t.true(coloured.includes("\x1b[31m  -/+ replace  db\x1b[39m"));
  t.is(stripVTControlCharacters(coloured), planText(everything, { color: false }));
});

test("what a container's values hold cannot move the cursor", (t) => {
  const sly = plan({
    desired: [
      desired("web@pve1", {
        spec: {
          command: ["\x1b[2J"],
          labels: { a: "\x1b[2J" },
          mounts: [{ type: "bind", source: "/\x1b", target: "/a" }],
        },
      }),
    ],
    observed: hosts({ pve1: [observed("web")] }),
  });
  t.false(planText(sly, { color: false }).includes("\x1b"));
});

test("for programs a plan is the same data, with stable names and without secrets", (t) => {
  const json = JSON.parse(JSON.stringify(planJson(everything)));
  t.is(json.fleet, "shop");
  t.like(json.changes[0], {
    kind: "replace",
    host: "pve1",
    id: "db",
    cost: "recreate",
    protect: true,
    spec: { id: "db", environment: { DB_PASSWORD: "[secret]", LEVEL: "debug" } },
  });
  t.deepEqual(json.changes[0].fields[1], {
    field: "command",
    word: "command",
    old: ["/bin/app"],
    new: ["/bin/db", "--port", "5432"],
    cost: "recreate",
  });
  t.notRegex(JSON.stringify(json.changes[0]), /"old"\s*:\s*"old"|"new"\s*:\s*"new"|PASSWORD":"(old|new)/);
  t.deepEqual(json.unreachable, [{ host: "pve9", containers: 1 }]);
});

test("the lines of LXC's own that a Proxmox container gets are listed, an update's alone where it changes them", (t) => {
  const guest = { runtime: "lxc", source: { kind: "template", volume: "local:vztmpl/a" } } as const;
  const spec = { ...guest, user: "1000", environment: { LEVEL: "debug", API_KEY: "x" } };
  const made = plan({ desired: [desired("db@pve1", { spec })], observed: hosts({ pve1: [] }) });
  const lines = [
    "+ lxc.environment.runtime: LEVEL=debug",
    "+ lxc.environment.runtime: API_KEY=[secret]",
    "+ lxc.init.uid: 1000",
    "+ lxc.init.gid: 0",
  ];
  t.true(planText(made, { color: false }).includes(lines.map((line) => `        ${line}\n`).join("")));
  const json = JSON.parse(JSON.stringify(planJson(made)));
  t.deepEqual(json.changes[0].rawLines[2], { key: "lxc.init.uid", value: "1000" });
  const changed = plan({
    desired: [desired("db@pve1", { spec: { ...spec, user: "1001" } })],
    observed: hosts({ pve1: [observed("db", { spec })] }),
  });
  t.regex(
    planText(changed, { color: false }),
    /user +1000 → 1001\n +\+ lxc\.init\.uid: 1001\n +\+ lxc\.init\.gid: 0\n\n/,
  );
});

test("a Proxmox container with a fixed VMID is not replaced by one that would need the same", (t) => {
  const guest = {
    runtime: "lxc",
    source: { kind: "template", volume: "local:vztmpl/a" },
    proxmox: { vmid: 2010 },
  } as const;
  const there = observed("db", { spec: guest });
  const refused = plan({
    desired: [desired("db@pve1", { spec: { ...guest, proxmox: { vmid: 2010, unprivileged: false } } })],
    observed: hosts({
      pve1: [{ ...there, state: { ...there.state, annotations: { "io.nexcage.vmid": "2010" } } }],
    }),
  });
  t.regex(
    planText(refused, { color: false }),
    /! db@pve1 +proxmox\.vmid: 2010 is the one's that it is to replace/,
  );
  t.deepEqual(refused.changes, []);
});
