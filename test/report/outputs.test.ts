import { existsSync } from "node:fs";
import { readFile, readlink, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { makeBed } from "../e2e/bed.ts";
import { hostTest, testUnless } from "../e2e/host-test.ts";
import { whyNoHosts } from "../hosts/hosts.ts";
import { chromium, openPage } from "./browser.ts";

const sleeper = { command: ["sleep", "1000"], stop_grace_period: "0s" };
/** One that fails with a word on it, two that wait for another, and words that must not become markup. */
const containers = {
  db: { ...sleeper, host: "node1" },
  bad: { command: ["sh", "-c", "echo '<script>alert(1)</script> & more'; exit 7"], host: "node2" },
  web: { ...sleeper, replicas: 2, depends_on: ["db"], environment: { A: "<b>", DB_PASSWORD: "hunter2" } },
};

hostTest(
  "what an apply did is told to CI: JUnit, events, a summary, and the YAML's line of what failed",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBed(["node1", "node2"]);
    await bed.writeFleet(containers);
    const at = (name: string): string => join(bed.folder, name);
    const files = ["--junit", at("j.xml"), "--events", at("e.ndjson"), "--report", at("r.html")];
    const env = { CI: "true", GITHUB_ACTIONS: "true", GITHUB_STEP_SUMMARY: at("summary.md") };
    const applied = await bed.start(["fleet", "apply", ...files], { env });
    t.is(applied.exitCode, 3, String(applied.stderr));

    const lines = (await readFile(at("fleet.yaml"), "utf8")).split("\n");
    const line = lines.indexOf("  bad:") + 1;
    t.regex(
      String(applied.stderr),
      new RegExp(
        `^::error file=fleet\\.yaml,line=${line},col=3,title=bad@node2 failed::bad on node2 ended`,
        "m",
      ),
    );

    const read = `import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
for case in root.iter("testcase"):
    print(case.get("classname"), case.get("name"), [child.tag for child in case])`;
    const { stdout: cases } = await execa("python3", ["-c", read, at("j.xml")]);
    t.deepEqual(cases.split("\n"), [
      "node1 db ['system-out']",
      "node1 web-2 ['system-out']",
      "node2 bad ['failure']",
      "node2 web-1 ['system-out']",
    ]);
    t.regex(await readFile(at("j.xml"), "utf8"), /&lt;script&gt;alert\(1\)&lt;\/script&gt; &amp; more/);

    const events = (await readFile(at("e.ndjson"), "utf8")).trimEnd().split("\n");
    const parsed: { event: string; containerId?: string; operationId?: string }[] = events.map((text) =>
      JSON.parse(text),
    );
    const of = (kind: string) => parsed.filter(({ event }) => event === kind);
    t.is(of("host.ready").length, 2);
    t.is(of("change.done").length, 4);
    const [failed] = of("change.failed");
    t.is(failed?.containerId, "bad");
    const ids = of("change.started").map(({ operationId }) => operationId);
    t.is(new Set(ids).size, 4, "each operation has its id");

    const summary = await readFile(at("summary.md"), "utf8");
    t.regex(summary, /^### nexcage apply: shop: 3 done, 1 failed\n/);
    t.regex(summary, /\| web-1 \| node2 \| create \| done \|/);
    t.notRegex(summary + events.join() + (await readFile(at("r.html"), "utf8")), /hunter2/);

    const planned = await bed.start(["fleet", "plan", "--junit", at("p.xml")], { env: { CI: "true" } });
    t.is(planned.exitCode, 0);
    t.regex(await readFile(at("p.xml"), "utf8"), /tests="4" failures="0"/);
  },
);

hostTest(
  "files that cannot be written are refused before a host is touched; a mistake is told at its line",
  async (t) => {
    await using bed = await makeBed(["node1"]);
    await bed.writeFleet({ web: { ...sleeper, memroy: "64m" } });
    const report = join(bed.folder, "r.html");
    const wrong = await bed.start(["fleet", "apply", "--report", report], {
      env: { GITHUB_ACTIONS: "true" },
    });
    t.is(wrong.exitCode, 64);
    t.regex(String(wrong.stderr), /^::error file=fleet\.yaml,line=\d+,col=\d+,title=INVALID_FILE::.*memroy/m);
    t.false(existsSync(report), "there is no page of what never began");
    const nowhere = await bed.nexcage("fleet", "apply", "--junit", "/nowhere/j.xml");
    t.is(nowhere.exitCode, 64);
    t.regex(nowhere.stderr, /--junit \/nowhere\/j\.xml: ENOENT/);
  },
);

hostTest(
  "what cannot be written while it works ends no apply; devices and links that are named stay",
  async (t) => {
    t.timeout(60_000);
    await using bed = await makeBed(["node1"]);
    await bed.writeFleet({ web: { ...sleeper, host: "node1" } });
    const link = join(bed.folder, "null.xml");
    await symlink("/dev/null", link);
    const { exitCode, stdout, stderr } = await bed.nexcage(
      ...["fleet", "apply", "--events", "/dev/full", "--junit", link],
    );
    t.is(exitCode, 0, stderr);
    t.regex(stdout, /1 done/);
    t.regex(stderr, /--events \/dev\/full: .*no space left.*: it is not whole/i);
    t.is(await readlink(link), "/dev/null");
    const nowhere = await bed.start(["fleet", "plan"], { env: { GITHUB_STEP_SUMMARY: "/nowhere/summary" } });
    t.is(nowhere.exitCode, 64);
  },
);

hostTest("with --log-format json stderr is JSON alone, with the words of the agent's own log", async (t) => {
  t.timeout(60_000);
  await using bed = await makeBed(["node1"]);
  await bed.writeFleet({ web: { ...sleeper, host: "node1" } });
  const records = "/var/lib/nexcage/containers";
  await bed.host("node1").exec(["sh", "-c", `mkdir -p ${records} && echo torn >${records}/db.json`]);
  const { exitCode, stderr } = await bed.nexcage("fleet", "apply", "--log-format", "json", "--verbose");
  t.is(exitCode, 0, stderr);
  const lines: Record<string, unknown>[] = stderr.split("\n").map((line) => JSON.parse(line));
  const done = lines.find(({ event }) => event === "change.done");
  t.like(done, { host: "node1", containerId: "web", change: "create" });
  t.is(typeof done?.operationId, "string");
  t.true(lines.every(({ time }) => typeof time === "string"));
  const own = lines.flatMap(({ agent }) => (agent === undefined ? [] : [agent]));
  t.like(own[0], { level: 50, msg: "a container's record cannot be read" });
});

const whyNoBrowser = existsSync(chromium) ? whyNoHosts() : "not installed: chromium";

testUnless(
  whyNoBrowser,
  "a report is one page: no outside resources, readable on a phone and in the dark",
  async (t) => {
    t.timeout(120_000);
    await using bed = await makeBed(["node1", "node2"]);
    await bed.writeFleet(containers);
    const file = join(bed.folder, "report.html");
    await bed.nexcage("fleet", "apply", "--report", file);
    t.true((await stat(file)).size < 100_000);
    await using page = await openPage(`file://${file}`);
    t.deepEqual(page.requests, [`file://${file}`], "it asks for nothing else");

    const text = String(await page.evaluate("document.body.innerText"));
    t.regex(text, /3 done\s+1 failed/);
    t.regex(
      text,
      /bad on node2 ended right after its start with exit code 7\n.*<script>alert\(1\)<\/script> & more/,
    );
    t.regex(text, /web-1@node2: create\n[\d.]+m?s · waited [\d.]+m?s for db@node1/);
    t.is(await page.evaluate("document.scripts.length"), 0);

    const background = "getComputedStyle(document.body).backgroundColor";
    const fits = "document.documentElement.scrollWidth <= window.innerWidth";
    const seen: unknown[] = [];
    for (const scheme of ["light", "dark"] as const)
      for (const [width, height] of [
        [1280, 900],
        [360, 740],
      ] as const) {
        await page.look({ width, height, scheme });
        t.true(await page.evaluate(fits), `${width} wide, ${scheme}: nothing stands out at the side`);
        seen.push(await page.evaluate(background));
      }
    t.is(new Set(seen).size, 2, "light and dark differ");
    t.true(
      await page.evaluate('document.querySelector("details#c-web-1\\\\@node2") !== null'),
      "a chip leads to its change",
    );
  },
);
