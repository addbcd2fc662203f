import { once } from "node:events";
import { createServer } from "node:net";
import { hostTest, makeBed } from "./bed.ts";

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
    await using silent = createServer(() => {});
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
