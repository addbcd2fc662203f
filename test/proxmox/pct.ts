// pct: finds the verb, runs it here or as a task.
import { type Parsed, parseArguments } from "./arguments.ts";
import { syncCluster } from "./cluster.ts";
import { Failure, messageOf } from "./failure.ts";
import { asksManager, requestState } from "./ha.ts";
import { type Order, runTask } from "./tasks.ts";
import type { Call, Verb } from "./verb.ts";
import { clone, migrate, moveVolume, template } from "./verbs/copies.ts";
import { create } from "./verbs/create.ts";
import { destroy } from "./verbs/destroy.ts";
import { console_, enter, exec } from "./verbs/exec.ts";
import { pull, push } from "./verbs/files.ts";
import { reboot, resume, shutdown, start, stop, suspend } from "./verbs/power.ts";
import { config, df, list, pending, status } from "./verbs/read.ts";
import { set } from "./verbs/set.ts";
import { delsnapshot, listsnapshot, rollback, snapshot } from "./verbs/snapshots.ts";
import { unlock } from "./verbs/unlock.ts";
import { fsck, fstrim, mount, rescan, resize, unmount } from "./verbs/volumes.ts";

const verbs: Readonly<Record<string, Verb>> = {
  ...{
    clone,
    delsnapshot,
    fsck,
    fstrim,
    listsnapshot,
    migrate,
    mount,
    "move-volume": moveVolume,
    pull,
    push,
  },
  ...{ rescan, resize, rollback, snapshot, template, unmount },
  ...{ config, console: console_, create, destroy, df, enter, exec, list, pending, reboot, resume, set },
  ...{ shutdown, start, status, stop, suspend, unlock },
};

/** What starts and stops a guest that the HA manager has: a request, and the task of that name. */
const requestsToHa: Readonly<Record<string, "hastart" | "hastop">> = {
  start: "hastart",
  stop: "hastop",
  shutdown: "hastop",
};

const usage = "USAGE: pct <COMMAND> [ARGS] [OPTIONS]";

function findVerb(argv: readonly string[]): { verb: Verb; call: Call } {
  const [name, ...words] = argv;
  if (name === undefined) throw new Failure(`ERROR: no command specified\n${usage}`);
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (verb === undefined) throw new Failure(`ERROR: unknown command 'pct ${name}'\n${usage}`);
  return { verb, call: callOf(parseArguments(verb.grammar, words)) };
}

function callOf(parsed: Parsed): Call {
  return { ...parsed, vmid: parsed.positionals.vmid ?? "" };
}

/** In pct itself. The exit code. */
export async function pct(argv: readonly string[]): Promise<number> {
  const { verb, call } = findVerb(argv);
  await syncCluster();
  const asked = requestsToHa[argv[0] ?? ""];
  if (asked !== undefined && asksManager(call.vmid))
    return await runTask({ type: asked, id: call.vmid, argv: ["ha-request", ...argv] });
  await verb.before?.(call);
  if (verb.run !== undefined) return (await verb.run(call)) ?? 0;
  return await runTask({ type: verb.task?.type ?? "", id: call.vmid, argv });
}

/**
 * In the worker: what a task says goes to stdout, its end is the last line. TERM ends it with
 * `received interrupt`; when nobody reads any more, the next line kills it, and nothing is undone.
 */
export async function worker(order: Order): Promise<void> {
  process.title = `task ${order.upid}`;
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", () => process.kill(process.pid, "SIGKILL"));
  const interrupt = new AbortController();
  for (const name of ["SIGTERM", "SIGINT", "SIGQUIT"]) process.on(name, () => interrupt.abort());
  try {
    if (order.argv[0] === "ha-request") requestHa(order.argv.slice(1));
    else await runVerb(order.argv, interrupt.signal);
    process.stdout.write("TASK OK\n");
  } catch (error) {
    process.stdout.write(`TASK ERROR: ${messageOf(error).replaceAll("\n", " ").trim()}\n`);
    process.exitCode = 255;
  }
}

async function runVerb(argv: readonly string[], signal: AbortSignal): Promise<void> {
  const { verb, call } = findVerb(argv);
  await verb.task?.run(call, { signal });
}

function requestHa(argv: readonly string[]): void {
  const { call } = findVerb(argv);
  const isStart = argv[0] === "start";
  process.stdout.write(`Requesting HA ${isStart ? "start" : "stop"} for CT ${call.vmid}\n`);
  requestState(call.vmid, isStart ? "started" : "stopped");
}
