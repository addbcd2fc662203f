import { setTimeout as sleep } from "node:timers/promises";
import { findConf, readConf, requireQuorum, requireUnlocked } from "../cluster.ts";
import { Failure } from "../failure.ts";
import { reach } from "../knobs.ts";
import { withGuestLock } from "../locks.ts";
import { forbidRestart, isRunning, killContainer, startContainer, waitForUnit } from "../lxc.ts";
import { quote, runAnyway } from "../run.ts";
import { isRunning as isTaskRunning, parseUpid, readActive } from "../tasks.ts";
import { boolean, type Call, guestGrammar, seconds, type Verb } from "../verb.ts";
import { applyPending } from "./set.ts";

/** Words of `lock:` that start and stop go on in spite of. */
const ignoredLocks = ["mounted"];

function requireRunning(vmid: string, what = "CT"): void {
  if (!isRunning(vmid)) throw new Failure(`${what} ${vmid} not running`);
}

function requireNoLock({ vmid, options }: Call): void {
  if (options.get("skiplock") !== "1") requireUnlocked(readConf(vmid), { except: ignoredLocks });
}

export const start: Verb = {
  grammar: guestGrammar("start", { options: { skiplock: boolean, debug: boolean } }),
  async before({ vmid }) {
    if (isRunning(vmid)) throw new Failure(`CT ${vmid} already running`);
  },
  task: {
    type: "vzstart",
    async run(call, { signal }) {
      const { vmid } = call;
      await withGuestLock(vmid, async () => {
        requireNoLock(call);
        requireQuorum();
        await reach("start.early", { vmid, signal });
        if (signal.aborted) throw new Failure("received interrupt");
        await startContainer(vmid, await applyPending(vmid), { signal });
        await reach("start.starting", { vmid, signal: new AbortController().signal });
      });
    },
  },
};

export const stop: Verb = {
  grammar: guestGrammar("stop", { options: { skiplock: boolean, "overrule-shutdown": boolean } }),
  async before({ vmid }) {
    requireRunning(vmid);
  },
  task: {
    type: "vzstop",
    async run(call, { signal }) {
      const { vmid, options } = call;
      if (options.get("overrule-shutdown") === "1") await abortShutdowns(vmid);
      await withGuestLock(vmid, async () => {
        requireNoLock(call);
        await reach("stop.early", { vmid, signal });
        requireRunning(vmid);
        await killContainer(vmid, { signal });
        await reach("stop.stopped", { vmid, signal });
      });
    },
  },
};

/** Ends the container's `vzshutdown` tasks, whoever started them. */
async function abortShutdowns(vmid: string): Promise<void> {
  const tasks = readActive().filter(({ upid }) => {
    const { type, id } = parseUpid(upid);
    return type === "vzshutdown" && id === vmid && isTaskRunning(upid);
  });
  if (tasks.length === 0) return;
  for (const { upid } of tasks) process.kill(-parseUpid(upid).pid, "SIGTERM");
  process.stdout.write(`overruled vzshutdown tasks: ${tasks.map(({ upid }) => upid).join(", ")}\n`);
}

export const shutdown: Verb = {
  grammar: guestGrammar("shutdown", { options: { timeout: seconds, forceStop: boolean } }),
  async before({ vmid }) {
    requireRunning(vmid);
  },
  task: {
    type: "vzshutdown",
    async run(call, { signal }) {
      const { vmid, options } = call;
      await withGuestLock(vmid, async () => {
        requireNoLock(call);
        await reach("shutdown.waiting", { vmid, signal });
        const timeoutS = options.get("timeout") ?? "60";
        await shutDown(vmid, { timeoutS, force: options.get("forceStop") === "1", signal });
      });
    },
  },
};

type ShutdownOptions = { timeoutS: string; force: boolean; signal: AbortSignal };

/** The halt signal to init, then, with `force`, SIGKILL. @throws {Failure} `container did not stop` */
async function shutDown(vmid: string, { timeoutS, force, signal }: ShutdownOptions): Promise<void> {
  const args = ["-n", vmid, ...(force ? [] : ["--nokill"]), "--timeout", timeoutS];
  forbidRestart(vmid);
  const { code } = await runAnyway("lxc-stop", args, { signal });
  if (code === 0) return await waitForUnit(vmid, { signal });
  process.stdout.write(`command '${quote(["lxc-stop", ...args])}' failed: exit code ${code}\n`);
  // pct waits for the monitor's end too: the timeout and five seconds more.
  const end = performance.now() + (Number(timeoutS) + 5) * 1000;
  while (isRunning(vmid)) {
    if (signal.aborted) throw new Failure("received interrupt");
    if (performance.now() > end) throw new Failure("container did not stop");
    await sleep(50);
  }
  await waitForUnit(vmid, { signal });
}

export const reboot: Verb = {
  grammar: guestGrammar("reboot", { options: { timeout: seconds } }),
  async before({ vmid }) {
    requireRunning(vmid, "VM");
  },
  task: {
    type: "vzreboot",
    // It asks for no `lock:` before it shuts down; the pre-start hook then refuses to start under one.
    async run({ vmid, options }, { signal }) {
      await withGuestLock(vmid, async () => {
        await shutDown(vmid, { timeoutS: options.get("timeout") ?? "60", force: true, signal });
        if (findConf(vmid)?.values.has("lock")) throw hookFailure(vmid);
        await startContainer(vmid, await applyPending(vmid), { signal });
      });
    },
  },
};

function hookFailure(vmid: string): Failure {
  process.stdout.write('Failed to run lxc.hook.pre-start for container "'.concat(`${vmid}"\n`));
  return new Failure(`startup for container '${vmid}' failed`);
}

export const suspend: Verb = {
  grammar: guestGrammar("suspend"),
  async before({ vmid }) {
    requireRunning(vmid);
    requireUnlocked(readConf(vmid));
    throw new Failure(`command 'lxc-checkpoint -n ${vmid} -s -D /var/lib/vz/dump' failed: exit code 1`);
  },
  task: { type: "vzsuspend", run: async () => {} },
};

export const resume: Verb = {
  grammar: guestGrammar("resume"),
  task: {
    type: "vzresume",
    // Only what CRIU has written can be resumed, and it was not asked to write anything here.
    async run({ vmid }) {
      const args = ["-n", vmid, "-r", "--foreground", "-D", "/var/lib/vz/dump"];
      process.stdout.write(`lxc-checkpoint: ${vmid}: ${vmid} is not defined\n`);
      throw new Failure(`command '${quote(["lxc-checkpoint", ...args])}' failed: exit code 1`);
    },
  },
};
