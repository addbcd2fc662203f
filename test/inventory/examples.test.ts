import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { jsonSchemaText, schemaNames } from "../../controller/inventory/json-schema.ts";
import { loadInventory } from "../../controller/inventory/load.ts";
import { planFleet } from "../../controller/plan/diff.ts";
import { requireWithinLimits } from "../../controller/plan/guard.ts";
import { changing } from "../../controller/plan/model.ts";
import { planText } from "../../controller/report/plan.ts";
import { Digest } from "../../shared/ids.ts";
import { ContainerSpec } from "../../shared/spec.ts";
import { carryOut } from "../plan/fleets.ts";

const root = join(import.meta.dirname, "../../inventory");
const folders = (await readdir(join(root, "examples"), { withFileTypes: true })).filter((one) =>
  one.isDirectory(),
);
const digest = Digest.parse(`sha256:${"0".repeat(64)}`);

for (const { name } of folders)
  test(`the example ${name} is read, planned for empty hosts, and once carried out leaves nothing to do`, async (t) => {
    const { hosts, fleet } = await loadInventory({
      files: [],
      cwd: join(root, "examples", name),
      home: "/home/me",
      environment: {},
      signal: AbortSignal.timeout(10_000),
    });
    if (fleet === undefined) return t.fail("it has no fleet");
    const desired = fleet.wanted.map((one) => {
      const { source } = one.spec;
      const image = { kind: "image", digest } as const;
      const spec = ContainerSpec.parse({ ...one.spec, source: source.kind === "rootfs" ? image : source });
      return { ...one, spec };
    });
    const input = { fleet: fleet.name, desired, unreachable: new Set<string>(), prune: fleet.prune };
    const empty = new Map(hosts.map((host) => [host.name, []]));
    const plan = planFleet({ ...input, observed: empty });
    t.notThrows(() => requireWithinLimits(plan, fleet.limits));
    t.true(plan.changes.length > 0 && plan.changes.every(({ kind }) => kind === "create"));
    t.notRegex(planText(plan, { color: false }), /undefined|NaN|\{\{/);
    const again = planFleet({ ...input, observed: carryOut(plan, empty) });
    t.deepEqual(
      again.changes.filter(({ kind }) => changing.has(kind)),
      [],
    );
  });

for (const name of schemaNames)
  test(`the JSON Schema of a ${name} file is the one that the program parses with (npm run schema)`, async (t) => {
    t.is(await readFile(join(root, "schema", `${name}.v1.json`), "utf8"), jsonSchemaText(name));
  });
