import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { dist } from "../dist.ts";
import { type Bed, makeBed } from "../e2e/bed.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import { type Benchmark, below, median } from "./measure.ts";

const few = 3;
const many = 30;
const containersPerHost = 10;
const rounds = 3;

export const memory: Benchmark = {
  name: "memory",
  obstacle: whyNoHosts,
  async run() {
    await using bed = await makeBed(Array.from({ length: many }, (_, index) => `node${index + 1}`));
    const ids = Array.from({ length: containersPerHost }, (_, index) => `app${index + 1}`);
    await bed.writeFleet(Object.fromEntries(ids.map((id) => [id, { mode: "global", command: ["true"] }])));
    const limit = bed.hosts.hosts.slice(0, few).map(({ name }) => name);
    const peaks = { few: [] as number[], many: [] as number[] };
    for (let round = 0; round < rounds; round++) {
      peaks.few.push(await peakOf(bed, ["fleet", "plan", "--limit", limit.join(",")]));
      peaks.many.push(await peakOf(bed, ["fleet", "plan"]));
    }
    const growth = (median(peaks.many) - median(peaks.few)) / (many - few);
    return [
      below({ name: "memory: an idle agent, resident", ours: await idleAgent(bed), unit: "MB", limit: 80 }),
      below({
        name: `memory: the controller's peak per further host (plan, ${few} and ${many} hosts × ${containersPerHost})`,
        ours: growth,
        unit: "MB",
        limit: 3,
      }),
    ];
  },
};

/** The most that a command had resident, in MB, read until it ends. */
async function peakOf(bed: Bed, words: string[]): Promise<number> {
  const running = bed.start(words);
  let peak = 0;
  let ended = false;
  const watch = (async () => {
    while (!ended) {
      peak = Math.max(peak, await statusOf(running.pid ?? 0, "VmHWM"));
      await delay(2);
    }
  })();
  const { exitCode, stderr } = await running;
  ended = true;
  await watch;
  if (exitCode !== 0) throw new Error(`nexcage ${words.join(" ")} ended with ${exitCode}: ${stderr}`);
  return peak;
}

/** What an agent has resident, in MB, that a session has asked what there is and that waits for more. */
async function idleAgent(bed: Bed): Promise<number> {
  const { openSession } = await import("../../controller/session.ts");
  const { execa } = await import("execa");
  const host = bed.host("node1");
  const agentPath = join(dist, "nexcage-agent");
  const ssh = execa(
    "ssh",
    ["-F", join(bed.hosts.dir, "ssh_config"), host.name, agentPath, "serve", "--stdio"],
    { stdio: "pipe", reject: false },
  );
  const signal = AbortSignal.timeout(30_000);
  await using session = await openSession(
    {
      stdin: ssh.stdin,
      stdout: ssh.stdout,
      stderr: ssh.stderr,
      exited: ssh.then(({ exitCode }) => ({ code: exitCode })),
      destroy: () => ssh.kill(),
    },
    { host: host.name, agentPath, signal },
  );
  await session.request("container/list", {}, { signal });
  const residents = await Promise.all(
    (await host.pids()).map(async (pid) =>
      (await readFile(`/proc/${pid}/cmdline`, "utf8")).startsWith(agentPath)
        ? await statusOf(pid, "VmRSS")
        : 0,
    ),
  );
  return Math.max(...residents);
}

/** A size out of /proc/PID/status, in MB; 0 for a process that has gone. */
async function statusOf(pid: number, field: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(text)?.[1] ?? 0) / 1024;
}
