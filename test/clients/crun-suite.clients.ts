import test from "ava";
import { startHosts, type TestHosts } from "../hosts/hosts.ts";
import { compileInit, crunSource, listSuite, runSuite, type Verdict } from "./crun-suite.ts";
import { knownVerdicts } from "./known-verdicts.ts";
import { beyond, leftovers, look } from "./leftovers.ts";
import { whyNoClients } from "./requirements.ts";
import { isSelfTest, type Runtime, reference, underTest } from "./runtimes.ts";

const reason = whyNoClients();
const source = reason === undefined ? crunSource() : "";
let hosts: TestHosts | undefined;
let init = "";

test.before("the hosts start", async () => {
  if (reason !== undefined) return;
  hosts = await startHosts({ names: ["host-of-crun", "host-of-nexcage"] });
  init = await compileInit(source, hosts.dir);
});

test.after.always("the hosts end", async () => {
  await hosts?.stop();
});

if (reason === undefined)
  for (const name of listSuite(source))
    test.serial(`crun's own ${name} passes where crun passes it`, async (t) => {
      t.timeout(300_000);
      const [crun, ours] = await Promise.all([
        run(name, "host-of-crun", reference),
        run(name, "host-of-nexcage", underTest),
      ]);
      t.true(Object.keys(crun.verdicts).length > 0, `crun: ${crun.output}`);
      const worse = worseOnes(crun.verdicts, ours.verdicts);
      if (Object.keys(worse).length > 0) t.log(ours.output);
      t.deepEqual(worse, knownFor(name));
      t.deepEqual(beyond(ours.left, crun.left), [], "no more is left than by crun");
    });
else test.skip(`crun's own tests pass where crun passes them (${reason})`, () => {});

async function run(name: string, hostName: string, { path }: Runtime) {
  const host = hosts?.host(hostName);
  if (host === undefined) throw new Error("the hosts have not started");
  const before = await look(host);
  const result = await runSuite(host, { source, name, init, runtime: path });
  const left = await leftovers(host, before);
  if (left.length > 0) await host.reboot();
  return { ...result, left: left.map(normaliseCgroup).filter((line) => line !== "") };
}

/**
 * The suite's containers have names by chance. Below the root's own cgroup, which stays, empty, as podman's does:
 * whoever removed it would take it from under another's create.
 */
function normaliseCgroup(line: string): string {
  return line
    .replaceAll(/test-tmp\w+/g, "test-ID")
    .replace(/^cgroup nexcage-oci-[0-9a-f]{16}$/, "")
    .replace(/^cgroup nexcage-oci-[0-9a-f]{16}\//, "cgroup ");
}

/** What crun passes and we do not; it is fine to do better. */
function worseOnes(
  crun: Record<string, Verdict>,
  ours: Record<string, Verdict>,
): Record<string, Verdict | "missing"> {
  const worse = Object.keys(crun).filter((name) => crun[name] === "ok" && ours[name] !== "ok");
  return Object.fromEntries(worse.map((name) => [name, ours[name] ?? "missing"]));
}

function knownFor(file: string): Record<string, Verdict> {
  if (isSelfTest) return {};
  const own = Object.entries(knownVerdicts).filter(([name]) => name.startsWith(`${file}/`));
  return Object.fromEntries(own.map(([name, { verdict }]) => [name.slice(file.length + 1), verdict]));
}
