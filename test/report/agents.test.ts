import test from "ava";
import { skewOf } from "../../controller/report/agents.ts";
import { version } from "../../shared/version.ts";

const [major = 0, minor = 0] = version.split(".").map(Number);
const own = [`${version}-0123456789ab`];

for (const [title, agentVersion, build, skew] of [
  ["the build that this nexcage sends", version, own[0], "same"],
  ["another build of this version", version, `${version}-ffffffffffff`, "other build"],
  ["one of this version that does not say which it is", version, undefined, "other build"],
  ["one of an earlier version", `${major}.${minor}.0-rc.1`, undefined, "older"],
  ["one of a later version", `${major}.${minor + 1}.0`, undefined, "newer"],
  ["one of a much later version", `${major + 1}.0.0`, undefined, "newer"],
] as const)
  test(`${title} is ${skew}`, (t) => t.is(skewOf({ agentVersion, build }, own), skew));

test("a nexcage that came without an agent has nothing to compare builds with", (t) =>
  t.is(skewOf({ agentVersion: version, build: "x" }, []), "same"));
