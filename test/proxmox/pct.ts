// pct: finds the verb, runs it here or as a task.
import { type Parsed, parseArguments } from "./arguments.ts";
import { syncCluster } from "./cluster.ts";
import { Failure, messageOf } from "./failure.ts";
import { type Order, runTask } from "./tasks.ts";
import type { Call, Verb } from "./verb.ts";
import { create } from "./verbs/create.ts";
import { destroy } from "./verbs/destroy.ts";
import { console_, enter, exec } from "./verbs/exec.ts";
import { reboot, resume, shutdown, start, stop, suspend } from "./verbs/power.ts";
import { config, df, list, pending, status } from "./verbs/read.ts";
import { set } from "./verbs/set.ts";
import { unlock } from "./verbs/unlock.ts";

const verbs: Readonly<Record<string, Verb>> = {
  ...{ config, console: console_, create, destroy, df, enter, exec, list, pending, reboot, resume, set },
  ...{ shutdown, start, status, stop, suspend, unlock },
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
    const { verb, call } = findVerb(order.argv);
    await verb.task?.run(call, { signal: interrupt.signal });
    process.stdout.write("TASK OK\n");
  } catch (error) {
    process.stdout.write(`TASK ERROR: ${messageOf(error).replaceAll("\n", " ").trim()}\n`);
    process.exitCode = 255;
  }
}
