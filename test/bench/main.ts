/*
 * `npm run bench [-- --json FILE] [--only NAME]`: how fast it is, beside what it is to be compared with, in one
 * run on one machine. The table goes to stdout, what is being done to stderr.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { getBorderCharacters, table } from "table";
import { apply } from "./apply.ts";
import { bootstrap } from "./bootstrap.ts";
import { create } from "./create.ts";
import type { Benchmark, Row } from "./measure.ts";
import { memory } from "./memory.ts";
import { native } from "./native.ts";
import { oci } from "./oci.ts";
import { plan } from "./plan.ts";
import { podman } from "./podman.ts";
import { proxmox } from "./proxmox.ts";
import { upload } from "./upload.ts";

const benchmarks: Benchmark[] = [
  native,
  oci,
  podman,
  apply,
  create,
  upload,
  bootstrap,
  memory,
  plan,
  proxmox,
];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: "string" }, only: { type: "string", multiple: true } },
  });
  const chosen = benchmarks.filter(({ name }) => values.only?.includes(name) ?? true);
  if (chosen.length === 0)
    throw new Error(`--only ${values.only}: there are ${benchmarks.map(({ name }) => name).join(", ")}`);

  const rows: Row[] = [];
  for (const { name, obstacle, run } of chosen) {
    const reason = obstacle?.();
    if (reason !== undefined) {
      console.error(`bench: ${name}: not measured: ${reason}`);
      continue;
    }
    console.error(`bench: ${name}`);
    rows.push(...(await run()));
  }
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
  process.stdout.write(tableOf(rows));
}

function tableOf(rows: Row[]): string {
  const cells = rows.map(({ name, ours, peer, unit, ratio, goal, ok }) => [
    name,
    `${rounded(ours)} ${unit}`,
    `${rounded(peer)} ${unit}`,
    ratio.toFixed(2),
    goal,
    ok ? "ok" : "MISSED",
  ]);
  return table([["", "ours", "peer or limit", "ratio", "goal", ""], ...cells], {
    border: getBorderCharacters("void"),
    drawHorizontalLine: () => false,
    columnDefault: { paddingLeft: 0, paddingRight: 2 },
    columns: { 1: { alignment: "right" }, 2: { alignment: "right" }, 3: { alignment: "right" } },
  });
}

/** Three digits are as many as such a measurement has. */
function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

await main();
