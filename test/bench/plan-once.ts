/*
 * Plans a large fleet once, all in memory, and prints how long it took and what this process needed at most.
 * A tenth of what is wanted is not there, a tenth has changed, a tenth is stopped; the rest is as wanted.
 */
import { stringify } from "yaml";
import { parseDocuments } from "../../controller/inventory/documents.ts";
import { resolve } from "../../controller/inventory/resolve.ts";
import { select } from "../../controller/inventory/select.ts";
import { planFleet } from "../../controller/plan/diff.ts";
import type { Desired } from "../../controller/plan/model.ts";
import type { Observed } from "../../shared/container.ts";
import { specDigest } from "../../shared/spec.ts";

const hostCount = 1_000;
const keyCount = 200;
const replicas = 100;

const inventory = stringify({
  apiVersion: "nexcage/v1",
  kind: "Inventory",
  hosts: Object.fromEntries(
    Array.from({ length: hostCount }, (_, index) => [
      `node${index}`,
      { address: `10.0.${index >> 8}.${index & 255}`, labels: { zone: `z${index % 10}` } },
    ]),
  ),
});
const fleet = stringify({
  apiVersion: "nexcage/v1",
  kind: "Fleet",
  name: "large",
  containers: Object.fromEntries(
    Array.from({ length: keyCount }, (_, index) => [
      `app${index}`,
      {
        bundle: `/srv/bundles/app${index}`,
        replicas,
        placement: { spread: { by: "zone" } },
        labels: { team: `team${index % 7}` },
        ...(index > 0 && { depends_on: [`app${index - 1}`] }),
      },
    ]),
  ),
});

const wanted = desiredOf();
const observed = new Map<string, Observed[]>(
  Array.from({ length: hostCount }, (_, index) => [`node${index}`, []]),
);
for (const [index, one] of wanted.entries()) {
  if (index % 10 === 0) continue;
  observed.get(one.host)?.push(observedOf(one, { changed: index % 10 === 1, stopped: index % 10 === 2 }));
}

const startedMs = performance.now();
const plan = planFleet({
  fleet: "large",
  desired: desiredOf(),
  observed,
  unreachable: new Set(),
  prune: true,
});
const ms = performance.now() - startedMs;
if (plan.changes.length !== keyCount * replicas) throw new Error(`${plan.changes.length} changes`);
process.stdout.write(JSON.stringify({ ms, peakMegabytes: process.resourceUsage().maxRSS / 1024 }));

function desiredOf(): Desired[] {
  const documents = Object.entries({ "inventory.yaml": inventory, "fleet.yaml": fleet }).flatMap(
    ([file, text]) => parseDocuments(text, { file, path: `/srv/shop/${file}`, environment: {}, report }),
  );
  const resolved = resolve(documents, { home: "/root", report });
  return select(resolved, { containers: [] }).wanted.map(({ spec, ...rest }) => {
    if (spec.source.kind !== "bundle") throw new Error(`${rest.id} has no bundle`);
    return { ...rest, spec: { ...spec, source: spec.source } };
  });
}

function report(...mistake: unknown[]): void {
  throw new Error(`the benchmark's own files: ${JSON.stringify(mistake)}`);
}

function observedOf({ id, spec }: Desired, as: { changed: boolean; stopped: boolean }): Observed {
  const there = as.changed ? { ...spec, labels: { team: "another" } } : spec;
  return {
    id,
    backend: "crun",
    state: {
      ociVersion: "1.0.2",
      id,
      status: as.stopped ? "stopped" : "running",
      pid: as.stopped ? 0 : 4_711,
      bundle: `/var/lib/nexcage/bundles/${id}`,
    },
    fleet: "large",
    spec: there,
    digest: specDigest(there),
  };
}
