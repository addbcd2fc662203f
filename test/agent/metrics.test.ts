import { existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { metricsText } from "../../agent/metrics.ts";
import { dist } from "../dist.ts";
import { makeBed } from "../e2e/bed.ts";
import { hostTest, testUnless } from "../e2e/host-test.ts";

const promtool = "/usr/bin/promtool";
const sleeper = { command: ["sleep", "1000"], stop_grace_period: "0s" };

hostTest(
  "metrics tell of containers, and of all operations of all agents that ran on the host",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBed(["node1"]);
    const host = bed.host("node1");
    const metrics = async (...args: string[]) =>
      await host.exec([join(dist, "nexcage-agent"), "metrics", ...args]);
    const first = await metrics();
    t.is(first.exitCode, 0, first.stderr);
    t.regex(
      first.stdout,
      /^nexcage_agent_build_info\{version="[\d.]+",build="[^"]+",protocol="\d+\.\d+"\} 1$/m,
    );
    t.regex(first.stdout, /^nexcage_backend_available\{backend="crun"\} 1$/m);
    t.notRegex(first.stdout, /nexcage_operations_total/, "nothing was done yet");

    await bed.writeFleet({ web: { ...sleeper, replicas: 2 }, bad: { command: ["/no/such/program"] } });
    t.is((await bed.nexcage("fleet", "apply")).exitCode, 3);
    t.is((await bed.nexcage("fleet", "stop", "web-1")).exitCode, 0);
    const file = "/var/lib/nexcage/nexcage.prom";
    const written = await metrics("--write", file);
    t.deepEqual([written.exitCode, written.stdout], [0, ""]);
    const path = join(host.dir, "lib/nexcage.prom");
    const text = await readFile(path, "utf8");
    t.is(statSync(path).mode & 0o777, 0o644, "node-exporter reads it");
    t.regex(text, /^nexcage_containers\{backend="crun",status="running"\} 1$/m);
    t.regex(text, /^nexcage_containers\{backend="crun",status="stopped"\} 1$/m);
    t.regex(text, /^nexcage_operations_total\{kind="create",result="done"\} 2$/m);
    t.regex(text, /^nexcage_operations_total\{kind="create",result="failed"\} 1$/m);
    t.regex(text, /^nexcage_operations_total\{kind="stop",result="done"\} 1$/m);
    t.regex(text, /^nexcage_operation_duration_seconds_bucket\{kind="create",le="\+Inf"\} 3$/m);

    await host.exec(["tee", "/var/lib/nexcage/counters.json"], { input: "half of" });
    t.is((await bed.nexcage("fleet", "start", "web-1")).exitCode, 0);
    t.regex(
      (await metrics()).stdout,
      /^nexcage_operations_total\{kind="start",result="done"\} 1$/m,
      "they begin anew",
    );
  },
);

const features: Parameters<typeof metricsText>[0]["features"] = {
  ...{
    agentVersion: "1.0.0",
    protocol: "1.2",
    ociVersion: "1.3.0",
    hostname: "pve1",
    kernel: "6",
    architecture: "x64",
  },
  cgroups: "v2",
  backends: [{ name: 'odd"\\name', available: true }],
};
const counts = {
  done: 3,
  failed: 1,
  interrupted: 0,
  seconds: 1.5,
  buckets: [0, 0, 1, 3, 4, 4, 4, 4, 4, 4, 4],
};

test("a label may hold anything; what there is nothing of is left out", (t) => {
  const text = metricsText({ features, containers: [], counted: {} });
  t.regex(text, /nexcage_backend_available\{backend="odd\\"\\\\name"\} 1/);
  t.notRegex(text, /nexcage_containers\{/);
});

testUnless(
  existsSync(promtool) ? undefined : "not installed: prometheus",
  "promtool finds nothing wrong with them",
  async (t) => {
    const text = metricsText({ features, containers: [], counted: { create: counts, stop: counts } });
    const { stdout, stderr } = await execa(promtool, ["check", "metrics"], { input: text });
    t.is(stdout + stderr, "");
  },
);
