import test, { type ExecutionContext } from "ava";
import { lazy } from "../../agent/lazy.ts";
import type { BackendName } from "../../shared/spec.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { cutOff, makeProxmox, onHost, requireNothingToDo, small, traces } from "./bed.ts";

/* A container that another runtime is to run: the old one stays until the new one stands. */

const haveProxmox = lazy(makeProxmox);
test.afterEach.always(async () => {
  const bed = await haveProxmox();
  await bed.nexcage("fleet", "delete", "web", "--yes");
});
test.after.always(() => haveProxmox[Symbol.asyncDispose]());

const web = (runtime: BackendName, command = ["sleep", "1000"]): object => ({
  runtime,
  rootfs: "./rootfs",
  host: "pve1",
  command,
  stop_grace_period: "0s",
  ...(runtime === "lxc" && { proxmox: small }),
});

async function apply(fields: object) {
  const bed = await haveProxmox();
  await bed.writeFleet({ web: fields });
  return await bed.nexcage("fleet", "apply", "--yes");
}

/** It runs, once, by this runtime, and none of the others has anything of it. */
async function requireOnly(t: ExecutionContext, runtime: BackendName): Promise<void> {
  const bed = await haveProxmox();
  const state = JSON.parse((await bed.nexcage("fleet", "state", "web")).stdout);
  t.like(state, { status: "running" });
  t.is(state.annotations["io.nexcage.backend"], runtime);
  t.is(await onHost(bed, "pgrep -fx 'sleep 1000' | wc -l"), "1");
  const { guests, volumes } = await traces(bed);
  t.is(guests.length, runtime === "lxc" ? 1 : 0);
  t.is(volumes.length, runtime === "lxc" ? 1 : 0);
  const folders = "/var/lib/nexcage/bundles /run/nexcage/.crun /run/nexcage/.runc";
  const left = await onHost(bed, `find ${folders} -mindepth 1 -maxdepth 1 -name 'web' 2>/dev/null | sort`);
  t.is(left, runtime === "lxc" ? "" : `/run/nexcage/.${runtime}/web\n/var/lib/nexcage/bundles/web`);
}

const changes: [BackendName, BackendName][] = [
  ["crun", "lxc"],
  ["lxc", "runc"],
  ["runc", "crun"],
  ["crun", "runc"],
  ["runc", "lxc"],
  ["lxc", "crun"],
];
for (const [before, after] of changes) {
  proxmoxTest(`a container of ${before} becomes one of ${after}`, async (t) => {
    t.timeout(120_000);
    const bed = await haveProxmox();
    t.is((await apply(web(before))).exitCode, 0);
    await requireOnly(t, before);
    const { exitCode, stdout } = await apply(web(after));
    t.is(exitCode, 0, stdout);
    t.regex(stdout, /^1 done$/m);
    await requireOnly(t, after);
    await requireNothingToDo(t, bed);
  });

  proxmoxTest(`a container of ${before} that cannot become one of ${after} goes on`, async (t) => {
    t.timeout(120_000);
    t.is((await apply(web(before))).exitCode, 0);
    t.not((await apply(web(after, ["/no/such/program"]))).exitCode, 0);
    await requireOnly(t, before);
  });
}

for (const before of ["crun", "runc"] as const)
  for (const stage of ["create.unpacking", "start.starting"] as const)
    proxmoxTest(
      `cut off at ${stage}, a container of ${before} becomes one of lxc by the same apply`,
      async (t) => {
        t.timeout(180_000);
        const bed = await haveProxmox();
        t.is((await apply(web(before))).exitCode, 0);
        await bed.writeFleet({ web: web("lxc") });
        const { exitCode, stdout, stderr } = await cutOff(bed, stage, "both", "fleet", "apply", "--yes");
        t.is(exitCode, 0, stdout + stderr);
        await requireOnly(t, "lxc");
        await requireNothingToDo(t, bed);
      },
    );
