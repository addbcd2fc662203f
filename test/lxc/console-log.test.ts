import { join } from "node:path";
import { OciState } from "../../shared/oci.ts";
import { dist } from "../dist.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { goOn, killPaused, type Stage, turnKnobs, waitForPause } from "../proxmox/nodes.ts";
import { guest, makeProxmox, onHost, small } from "./bed.ts";

const agent = join(dist, "nexcage-agent");
const timeoutMs = 200_000;
const mebibyte = 1024 ** 2;
const log = "/var/log/nexcage/db.console";

/** Writes some 42 bytes per number on the guest's console. */
const count = (from: number, to: number): string[] => {
  const write = `seq ${from} ${to} | sed 's/^/line /; s/$/ of the numbered lines of a test/' >/dev/console`;
  return ["pct", "exec", "100", "--", "sh", "-c", write];
};
const numbersIn = (text: string): number[] =>
  [...text.matchAll(/^line (\d+) of the numbered lines of a test$/gm)].map(([, number]) => Number(number));

proxmoxTest("a console's log stays in its bound, and who follows it gets each line once", async (t) => {
  t.timeout(300_000);
  await using bed = await makeProxmox();
  const diskOf = async () => Number(await onHost(bed, `stat -c %b ${log}`)) * 512;
  await bed.writeFleet({ db: guest() });
  const applied = await bed.nexcage("fleet", "apply");
  t.is(applied.exitCode, 0, applied.stdout + applied.stderr);

  const lines = 1_000_000;
  const following = bed.host("pve1").exec([agent, "logs", "--follow", "db"], { timeoutMs });
  await bed.host("pve1").exec(count(1, lines), { timeoutMs });
  t.is(await onHost(bed, "pct stop 100"), "");
  const { stdout, exitCode } = await following;
  t.is(exitCode, 0);
  const numbers = numbersIn(stdout);
  t.is(numbers.length, lines);
  t.true(
    numbers.every((number, index) => number === index + 1),
    "in their order",
  );
  const written = Number(await onHost(bed, `stat -c %s ${log}`));
  t.true(written > 40 * mebibyte, `${written}`);
  t.true((await diskOf()) <= 12 * mebibyte, `who followed has trimmed it: ${await diskOf()}`);

  t.is((await bed.nexcage("fleet", "start", "db")).exitCode, 0);
  await bed.host("pve1").exec(count(lines + 1, lines + 400_000), { timeoutMs });
  t.true((await diskOf()) > 12 * mebibyte, "nobody has looked");
  t.is((await bed.nexcage("fleet", "status")).exitCode, 0);
  const size = await diskOf();
  t.true(size <= 10 * mebibyte, `who looks trims it: ${size}`);
  const rest = await bed.host("pve1").exec([agent, "logs", "db"]);
  const [first = 0, ...others] = numbersIn(rest.stdout);
  t.true(rest.stdout.startsWith(`line ${first} of`), rest.stdout.slice(0, 200));
  t.is(others.at(-1), lines + 400_000);
  t.is(others.length, lines + 400_000 - first, "without a gap");
  const last = await bed.nexcage("fleet", "logs", "--tail", "1", "db");
  t.regex(last.stdout, /line 1400000 of the numbered/);
});

proxmoxTest("what replaces a guest begins a log of its own, and gives it back where it fails", async (t) => {
  t.timeout(180_000);
  await using bed = await makeProxmox();
  const host = bed.host("pve1");
  await bed.writeFleet({ db: guest() });
  t.is((await bed.nexcage("fleet", "apply")).exitCode, 0);
  await onHost(bed, "pct exec 100 -- sh -c 'echo of the first >/dev/console'");
  const statusWhilePausedAt = async (stage: Stage) => {
    await bed.writeFleet({ db: guest({ proxmox: { ...small, unprivileged: false } }) });
    await turnKnobs(host, { pauseAt: [stage] });
    const running = bed.start(["fleet", "apply", "--yes"]);
    const paused = await waitForPause(host, stage);
    await turnKnobs(host, {});
    const { stdout } = await host.exec([agent, "state", "db"]);
    return { running, paused, ...OciState.pick({ status: true }).parse(JSON.parse(stdout)) };
  };

  const failing = await statusWhilePausedAt("start.early");
  t.is(failing.status, "created", "it has not run, whatever the one before it wrote");
  await killPaused(host, failing.paused, "both");
  t.is((await failing.running).exitCode, 1);
  t.regex((await bed.nexcage("fleet", "logs", "db")).stdout, /of the first/);

  const replacing = await statusWhilePausedAt("start.early");
  await goOn(host, "start.early");
  const { exitCode, stdout, stderr } = await replacing.running;
  t.is(exitCode, 0, stdout + stderr);
  t.is(await onHost(bed, "ls /var/log/nexcage"), "db.console");
  t.notRegex((await bed.nexcage("fleet", "logs", "db")).stdout, /of the first/);
});
