/*
 * An agent for tests: does the operations of its argument, one after the other, each in a runtime of its
 * own as each command has one, and prints what came of each as a line of JSON. `killAt` names the step
 * before which it kills itself; a second argument is the time in ms after which it does.
 */
import { composeRuntime } from "../../agent/compose.ts";
import { openLog } from "../../agent/log.ts";
import { agentPaths } from "../../agent/paths.ts";
import type { Runtime } from "../../agent/runtime.ts";
import { asNexcageError } from "../../shared/errors.ts";
import type { ContainerId, OperationId } from "../../shared/ids.ts";
import type { ContainerSpec } from "../../shared/spec.ts";

type Changing = { operationId: OperationId; fleet?: string; killAt?: string };

export type Operation =
  | ({ do: "create" | "replace"; spec: ContainerSpec; start?: boolean } & Changing)
  | ({ do: "update"; spec: ContainerSpec } & Changing)
  | ({ do: "start"; id: ContainerId } & Changing)
  | ({ do: "stop"; id: ContainerId; gracePeriodMs?: number } & Changing)
  | ({ do: "restart" | "pause" | "resume"; id: ContainerId } & Changing)
  | ({ do: "kill"; id: ContainerId; signalName: string } & Changing)
  | ({ do: "delete"; id: ContainerId; force?: boolean } & Changing)
  | { do: "list" }
  | { do: "state"; id: ContainerId };

const signal = new AbortController().signal;

async function run(runtime: Runtime, operation: Operation): Promise<unknown> {
  switch (operation.do) {
    case "create":
      return await runtime.create(operation.spec, { ...operation, signal });
    case "replace":
      return await runtime.replace(operation.spec, { ...operation, signal });
    case "update":
      return await runtime.update(operation.spec, { ...operation, signal });
    case "start":
      return await runtime.start(operation.id, { ...operation, signal });
    case "stop":
      return await runtime.stop(operation.id, { ...operation, signal });
    case "restart":
    case "pause":
    case "resume":
      return await runtime[operation.do](operation.id, { ...operation, signal });
    case "kill":
      return await runtime.kill(operation.id, operation.signalName, { ...operation, signal });
    case "delete":
      return await runtime.delete(operation.id, { ...operation, signal });
    case "list":
      return await runtime.list({ signal });
    case "state":
      return await runtime.state(operation.id, { signal });
    default:
      return operation satisfies never;
  }
}

async function main(): Promise<void> {
  const operations: Operation[] = JSON.parse(process.argv[2] ?? "[]");
  const killAfterMs = process.argv[3];
  await using log = openLog("warn", "json");
  for (const operation of operations) {
    const killAt = "killAt" in operation ? operation.killAt : undefined;
    await using runtime = await composeRuntime(
      {
        paths: agentPaths(process.env),
        log,
        lockTimeoutMs: 30_000,
        script: import.meta.filename,
        environment: process.env,
        onStep: ({ step }) => {
          if (step === killAt) process.kill(process.pid, "SIGKILL");
        },
      },
      { signal },
    );
    if (killAfterMs !== undefined)
      setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(killAfterMs));
    const result = await run(runtime, operation).catch((error: unknown) => ({
      error: asNexcageError(error),
    }));
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 1;
});
