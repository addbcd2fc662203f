import { nearestHint } from "../../shared/nearest.ts";
import type { ContainerEntry } from "./containers.ts";
import { findCycles } from "./cycles.ts";
import type { YamlDocument } from "./documents.ts";
import type { Report } from "./mistakes.ts";

/** Reports what `depends_on` names and nobody knows, and containers that wait for themselves. Pure. */
export function checkDependencies(
  containers: ContainerEntry[],
  { names, document, report }: { names: string[]; document: YamlDocument; report: Report },
): void {
  const known = new Set(names);
  for (const { name, dependsOn } of containers)
    for (const dependency of dependsOn)
      if (!known.has(dependency))
        report(
          document.valuePlace(["containers", name, "depends_on"]),
          `there is no container "${dependency}"`,
          nearestHint(dependency, known, "containers"),
        );
  for (const cycle of findCycles(new Map(containers.map(({ name, dependsOn }) => [name, dependsOn])))) {
    const [first = ""] = cycle;
    report(
      document.keyPlace(["containers", first, "depends_on"]),
      `containers wait for each other: ${[...cycle, first].join(" → ")}`,
    );
  }
}
