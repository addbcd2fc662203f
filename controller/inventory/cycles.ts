/** The cycles of a graph, each once, beginning with its first member in the order of the graph. Pure. */
export function findCycles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const order = new Map([...edges.keys()].map((name, index) => [name, index]));
  for (const start of edges.keys()) {
    // By hand, not recursive: a chain may be as long as there are containers.
    const path: { name: string; next: number }[] = [{ name: start, next: 0 }];
    const onPath = new Set([start]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const name = done.has(top.name) ? undefined : edges.get(top.name)?.[top.next++];
      if (name === undefined) {
        done.add(top.name);
        onPath.delete(top.name);
        path.pop();
      } else if (onPath.has(name)) {
        const cycle = path.slice(path.findIndex((step) => step.name === name)).map((step) => step.name);
        cycles.push(startingWithFirst(cycle, order));
      } else if (!done.has(name)) {
        onPath.add(name);
        path.push({ name, next: 0 });
      }
    }
  }
  return cycles;
}

function startingWithFirst(cycle: string[], order: ReadonlyMap<string, number>): string[] {
  const rank = (name: string): number => order.get(name) ?? Infinity;
  const first = cycle.indexOf(cycle.reduce((a, b) => (rank(a) <= rank(b) ? a : b), cycle[0] ?? ""));
  return [...cycle.slice(first), ...cycle.slice(0, first)];
}
