import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { mark } from "../../shared/protocol.ts";
import { makeBed } from "./bed.ts";
import { hostTest } from "./host-test.ts";

const web = { command: ["sleep", "1000"], mode: "global" };

hostTest("a host that is off fails alone: the others finish, and the exit code is 4", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed();
  await bed.writeFleet({ web });
  await bed.host("node3").powerOff();
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 4, stdout);
  t.regex(stdout, /node3: HOST_UNREACHABLE: /);
  t.regex(stdout, /2 done, 1 host unreachable/);
});

hostTest(
  "hosts that refuse, hang before their banner, or show a wrong key fail alone, each with its own words",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBed(["node1", "node2"]);
    await using silent = createServer((socket) => void socket.resume());
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    await bed.writeInventory({
      node2: { host_key: `SHA256:${"A".repeat(43)}` },
      refusing: { address: "127.0.0.1", ssh: { port: 1 } },
      hanging: { address: "127.0.0.1", ssh: { port, connect_timeout: "2s" } },
    });
    await bed.writeFleet({ web });
    const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
    t.is(exitCode, 4, stdout);
    t.regex(stdout, /node2: HOST_KEY_CHANGED: .*SHA256:.*SHA256:AAAA/s);
    t.regex(stdout, /refusing: HOST_UNREACHABLE: .*refuse/i);
    t.regex(stdout, /hanging: HOST_UNREACHABLE: /);
    t.regex(stdout, /web +node1 +create +done/);
  },
);

hostTest("on_unreachable: skip tells of the host and exits 3", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1", "node2"]);
  await bed.writeFleet({ web }, { on_unreachable: "skip" });
  await bed.host("node2").powerOff();
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 3, stdout);
});

hostTest("a host without an agent is told so, with what to do", async (t) => {
  await using bed = await makeBed(["node1"]);
  await bed.writeInventory({ node1: { agent: { path: "/opt/nowhere/nexcage-agent" } } });
  await bed.writeFleet({ web });
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 4, stdout);
  t.regex(stdout, /node1: AGENT_MISSING: node1 has no agent at \/opt\/nowhere\/nexcage-agent/);
  t.regex(stdout, /hint: /);
});

hostTest("an agent that hangs is given up after command_timeout, and its host fails alone", async (t) => {
  t.timeout(120_000);
  await using bed = await makeBed(["node1", "node2"]);
  const features = {
    ...{ agentVersion: "0", protocol: "1.0", ociVersion: "1.3.0", hostname: "node2", kernel: "6" },
    ...{ architecture: "x64", cgroups: "v1", backends: [] },
  };
  const hello = JSON.stringify({ jsonrpc: "2.0", id: 0, result: features });
  const hanging = join(bed.folder, "hanging-agent");
  const script = `#!/bin/sh\nprintf '${mark.trim()}\\nContent-Length: ${hello.length}\\r\\n\\r\\n${hello}'\nexec sleep 100\n`;
  await writeFile(hanging, script, { mode: 0o755 });
  await bed.writeInventory({ node2: { agent: { path: hanging }, command_timeout: "2s" } });
  await bed.writeFleet({ web });
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  t.is(exitCode, 4, stdout);
  t.regex(stdout, /node2: TIMED_OUT: the agent on node2 did not answer fleet\/lock within 2s/);
  t.regex(stdout, /web +node1 +create +done/);
});
