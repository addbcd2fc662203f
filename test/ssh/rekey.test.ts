import test from "ava";
import { hasSshd, makeWorld, run } from "./sshd.ts";

const sshdTest = hasSshd ? test : test.skip;

sshdTest(
  "an sshd that changes the session's keys is served on, and its loss is still a lost connection",
  async (t) => {
    await using world = await makeWorld({ options: ["RekeyLimit=1M", "LogLevel=DEBUG1"] });
    await using transport = await world.connect();
    const { stdout } = await run(transport, ["head", "-c", "5000000", "/dev/zero"]);
    t.is(stdout.length, 5_000_000);
    t.regex(world.sshd.log(), /rekeying/i);

    const channel = await transport.openAgent(["cat"], { signal: AbortSignal.timeout(30_000) });
    for (const session of await world.sshd.sessions()) process.kill(session, "SIGKILL");
    t.is((await channel.exited).error?.code, "CONNECTION_LOST");
  },
);
