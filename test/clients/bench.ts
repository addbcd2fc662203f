/*
 * The same case on two hosts that differ in their runtime alone. What a client did is written down on both; a
 * difference that `known-differences.ts` does not have is a failure, and one that it has and that is not there too.
 */
import type { ExecutionContext, TestFn } from "ava";
import { startHosts, type TestHost, type TestHosts } from "../hosts/hosts.ts";
import { type KnownDifference, knownDifferences } from "./known-differences.ts";
import { leftovers, look } from "./leftovers.ts";
import { Recorder } from "./recorder.ts";
import { whyNoClients } from "./requirements.ts";
import { isSelfTest, type Runtime, reference, underTest } from "./runtimes.ts";
import { compare, type Names, render, renderDifference, type Step } from "./transcript.ts";

/** A client that is set up on a host. */
export type Client<Calls> = {
  /** What a case may call, beside what the record has itself. */
  calls(record: Recorder): Calls;
  /** Removes what a case has made, whatever state that is in. */
  clear(): Promise<void>;
  /** What has to be done each time the host is switched on; its first time is before all cases. */
  boot(): Promise<void>;
};

export type SetUp<Calls> = (host: TestHost, runtime: Runtime) => Promise<Client<Calls>>;

type Side<Calls> = { host: TestHost; runtime: Runtime; client: Client<Calls> };

export type Body<Calls> = (calls: Calls, record: Recorder) => Promise<void>;

/** Declares the cases of a file, which run one after the other, each on both hosts at once. */
export function onBothRuntimes<Calls>(test: TestFn, setUp: SetUp<Calls>) {
  const reason = whyNoClients();
  let started: ReturnType<typeof startBoth<Calls>> | undefined;
  test.after.always("the hosts end", async () => {
    await (await started)?.hosts.stop();
  });
  return (title: string, body: Body<Calls>): void => {
    if (reason !== undefined) {
      process.stderr.write(`skipped, ${reason}: ${title}\n`);
      test.skip(title, () => {});
      return;
    }
    test.serial(title, async (t) => {
      t.timeout(180_000);
      started ??= startBoth(setUp);
      const { sides } = await started;
      const records = await Promise.all(sides.map((side) => play(side, body)));
      judge(t, title, records);
    });
  };
}

async function startBoth<Calls>(setUp: SetUp<Calls>): Promise<{ hosts: TestHosts; sides: Side<Calls>[] }> {
  const hosts = await startHosts({ names: [reference, underTest].map(hostName) });
  try {
    const sides = await Promise.all(
      [reference, underTest].map(async (runtime) => {
        const host = hosts.host(hostName(runtime));
        const client = await setUp(host, runtime);
        await client.boot();
        return { host, runtime, client };
      }),
    );
    return { hosts, sides };
  } catch (error) {
    await hosts.stop();
    throw error;
  }
}

/** No part of a path, as a runtime's own name is. */
function hostName({ name }: Runtime): string {
  return `host-of-${name}`;
}

async function play<Calls>({ host, runtime, client }: Side<Calls>, body: Body<Calls>): Promise<Recorder> {
  const record = new Recorder(host, namesOf(host, runtime));
  const before = await look(host);
  try {
    await body(client.calls(record), record);
  } catch (error) {
    record.see("why the case ended early", String(error));
    record.surprises.push(String(error));
  }
  record.see("what is left", (await leftovers(host, before)).join("\n"));
  // What a broken runtime leaves must not reach the next case.
  const isClear = await client.clear().then(
    async () => (await leftovers(host, before)).length === 0,
    () => false,
  );
  if (!isClear) {
    await host.reboot();
    await client.boot();
  }
  return record;
}

/** The longest first: a part of one may be another. */
function namesOf(host: TestHost, runtime: Runtime): Names {
  return [
    [host.dir, "DIR"],
    [runtime.path, "RUNTIME"],
    [host.name, "HOST"],
  ];
}

function judge(t: ExecutionContext, title: string, [crun, ours]: Recorder[]): void {
  if (crun === undefined || ours === undefined) throw new Error("both runtimes have a record");
  if (crun.surprises.length > 0) t.log(render(crun.steps));
  t.deepEqual(crun.surprises, [], "crun does not do what the case says of it");
  const { steps, gone } = withoutKnown(ours.steps, title);
  const found = compare(crun.steps, steps);
  if (found.length > 0) t.log(render(ours.steps));
  t.is(found.map(renderDifference).join("\n"), "", "differences that are not known");
  t.deepEqual(gone, [], "known differences that do not show");
}

/** The steps as crun's would be but for what is not known; and what is known and does not show. */
function withoutKnown(steps: Step[], title: string): { steps: Step[]; gone: KnownDifference[] } {
  const known = isSelfTest ? [] : knownDifferences.filter(({ cases }) => cases.includes(title));
  const texts = steps.map(({ seen }) => seen.join("\n"));
  const gone = known.filter(({ ours }) => !texts.some((text) => text.includes(ours)));
  const asCrun = (text: string) => known.reduce((rest, { ours, crun }) => rest.replaceAll(ours, crun), text);
  return {
    gone,
    steps: steps.map(({ command }, index) => ({
      command,
      seen: asCrun(texts[index] ?? "")
        .split("\n")
        .filter(Boolean),
    })),
  };
}
