import { readlinkSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { NexcageError } from "../../../shared/errors.ts";
import { OciState } from "../../../shared/oci.ts";
import { type ExecSession, openSession } from "../oci/exec-session.ts";
import { type FailureKind, failureKinds } from "../oci/failure-kinds.ts";
import type {
  AttachOptions,
  ContainerRef,
  OciRuntime,
  CreateOptions as RuntimeCreateOptions,
  ExecOptions as RuntimeExecOptions,
} from "../oci/oci-runtime.ts";

/** As the specification's, and for tests: stdio that is the caller's own, or is thrown away. */
export type CreateOptions = Omit<RuntimeCreateOptions, "output"> & {
  output: RuntimeCreateOptions["output"] | { kind: "inherit" | "discard" };
  timeoutMs?: number | undefined;
};
export type ExecOptions = RuntimeExecOptions & { timeoutMs?: number | undefined };

/** Waiting for libcrun has an end: after this long the call is undone and `TIMED_OUT`. */
const defaultTimeoutMs = 60_000;

/**
 * libcrun: what looks is done in this process, what changes something in a child of `nexcage-forker`, which the
 * first such call starts. Calls do not block the event loop and may run in parallel.
 */
export type Native = Omit<OciRuntime, "create" | "start" | "kill" | "delete" | "exec" | "attachMonitor"> & {
  /** OCI features, as the runtime specification's features.md has them. */
  features(): Promise<Record<string, unknown>>;
  /** The ids with a state below `root`, sorted. A root that is not there has none. */
  list(root: string): Promise<string[]>;
  /** @throws {NexcageError} `CONTAINER_NOT_FOUND` */
  state(container: ContainerRef): Promise<OciState>;
  /** Pids of the host; `monitorPid` is 0 where there is none. */
  create(container: ContainerRef, options: CreateOptions): Promise<{ pid: number; monitorPid: number }>;
  start(container: ContainerRef, options?: { timeoutMs?: number }): Promise<void>;
  kill(container: ContainerRef, signal: string, options?: { all?: boolean }): Promise<void>;
  delete(container: ContainerRef, options: { force: boolean; timeoutMs?: number }): Promise<void>;
  exec(container: ContainerRef, options: ExecOptions): Promise<ExecSession>;
  /** The pid of the monitor that writes a container's log, 0 where nobody does. Also while it is created. */
  monitorPid(ioPath: string): Promise<number>;
  attachMonitor(options: AttachOptions): Promise<{ monitorPid: number }>;
};

/** What ncx writes into its error buffer (native/ncx.h). */
const Failure = z.object({
  kind: z.enum(Object.keys(failureKinds) as FailureKind[]), // Object.keys loses the names
  message: z.string(),
  status: z.number().optional(),
  exitCode: z.number().optional(),
  stderr: z.string().optional(),
});

const Created = z.object({ pid: z.int(), monitorPid: z.int() });
const Attached = z.object({ monitorPid: z.int() });
const Started = z.object({
  pid: z.int(),
  stdin: z.int(),
  stdout: z.int(),
  stderr: z.int(),
  control: z.int(),
});

/**
 * Loads libcrun into this process, which its launcher must have sealed.
 * @param directory holds `libncx.so`, `nexcage-forker` and `nexcage-monitor`, as `native/build` makes them
 * @throws {NexcageError} `BACKEND_UNAVAILABLE` with the reason
 */
export async function loadNative(directory: string): Promise<Native> {
  // libcrun's constructor would run an unsealed program a second time and lose its output (CVE-2019-5736).
  if (readlinkSync("/proc/self/exe") !== "/")
    throw unavailable("this process was not started by its launcher, which seals it as root", {
      hint: "run nexcage-agent itself, as root",
    });
  const call = await bind(join(directory, "libncx.so"));
  await call("ncx_open", [join(directory, "nexcage-forker")]);
  const monitor = join(directory, "nexcage-monitor");
  const change = async (name: keyof typeof prototypes, ...args: Argument[]) => void (await call(name, args));

  return {
    version: parse(z.object({ libcrun: z.string() }), await call("ncx_version", [])).libcrun,
    features: async () => parse(z.record(z.string(), z.unknown()), await call("ncx_features", [])),
    list: async (root) => parse(z.array(z.string()), await call("ncx_list", [root])).sort(),
    state: async ({ root, id }) => parse(OciState, await call("ncx_state", [root, id])),
    pids: async ({ root, id }) => parse(z.array(z.int()), await call("ncx_pids", [root, id])),
    create: async ({ root, id }, { bundle, output, overlay, timeoutMs = defaultTimeoutMs }) => {
      const { lower, upper, work } = overlay ?? { lower: "", upper: "", work: "" };
      const logging =
        output.kind === "monitor"
          ? [monitor, output.ioPath, output.logPath, output.logMaxBytes, output.exitRecordPath]
          : ["", "", "", 0, ""];
      const inherit = output.kind === "inherit" ? 1 : 0;
      return parse(
        Created,
        await call("ncx_create", [root, id, bundle, lower, upper, work, ...logging, inherit, timeoutMs]),
      );
    },
    start: ({ root, id }, { timeoutMs = defaultTimeoutMs } = {}) => change("ncx_start", root, id, timeoutMs),
    kill: ({ root, id }, signal, { all = false } = {}) =>
      change("ncx_kill", root, id, signal, all ? 1 : 0, defaultTimeoutMs),
    delete: ({ root, id }, { force, timeoutMs = defaultTimeoutMs }) =>
      change("ncx_delete", root, id, force ? 1 : 0, timeoutMs),
    pause: ({ root, id }) => change("ncx_pause", root, id, defaultTimeoutMs),
    resume: ({ root, id }) => change("ncx_resume", root, id, defaultTimeoutMs),
    update: ({ root, id }, resources) =>
      change("ncx_update", root, id, JSON.stringify(resources), defaultTimeoutMs),
    exec: async ({ root, id }, { process, terminal, timeoutMs = defaultTimeoutMs }) => {
      const { rows, columns } = terminal ?? { rows: 0, columns: 0 };
      const text = JSON.stringify(process);
      const isTerminal = terminal === undefined ? 0 : 1;
      const started = parse(
        Started,
        await call("ncx_exec", [root, id, text, isTerminal, rows, columns, monitor, timeoutMs]),
      );
      return openSession(started);
    },
    monitorPid: async (ioPath) =>
      parse(z.object({ pid: z.int() }), await call("ncx_monitor_pid", [ioPath])).pid,
    attachMonitor: async ({ pid, ioPath, logPath, logMaxBytes, exitRecordPath }) =>
      parse(
        Attached,
        await call("ncx_attach", [
          monitor,
          ioPath,
          logPath,
          logMaxBytes,
          exitRecordPath,
          pid,
          defaultTimeoutMs,
        ]),
      ),
    canOverlay: async (path) =>
      parse(z.object({ overlay: z.boolean() }), await call("ncx_can_overlay", [path, defaultTimeoutMs]))
        .overlay,
  };
}

type Argument = string | number;

const answer = "char *json, size_t json_size, char *error, size_t error_size";
const prototypes = {
  ncx_open: `int ncx_open(const char *forker, ${answer})`,
  ncx_version: `int ncx_version(${answer})`,
  ncx_features: `int ncx_features(${answer})`,
  ncx_list: `int ncx_list(const char *root, ${answer})`,
  ncx_state: `int ncx_state(const char *root, const char *id, ${answer})`,
  ncx_pids: `int ncx_pids(const char *root, const char *id, ${answer})`,
  ncx_create:
    "int ncx_create(const char *root, const char *id, const char *bundle, const char *lower, const char *upper," +
    " const char *work, const char *monitor, const char *io, const char *log, int64_t log_max_bytes," +
    ` const char *exit_record, int inherit_stdio, int timeout_ms, ${answer})`,
  ncx_start: `int ncx_start(const char *root, const char *id, int timeout_ms, ${answer})`,
  ncx_kill: `int ncx_kill(const char *root, const char *id, const char *signal, int all, int timeout_ms, ${answer})`,
  ncx_delete: `int ncx_delete(const char *root, const char *id, int force, int timeout_ms, ${answer})`,
  ncx_pause: `int ncx_pause(const char *root, const char *id, int timeout_ms, ${answer})`,
  ncx_resume: `int ncx_resume(const char *root, const char *id, int timeout_ms, ${answer})`,
  ncx_update: `int ncx_update(const char *root, const char *id, const char *resources, int timeout_ms, ${answer})`,
  ncx_exec:
    "int ncx_exec(const char *root, const char *id, const char *process, int terminal, int rows, int columns," +
    ` const char *monitor, int timeout_ms, ${answer})`,
  ncx_monitor_pid: `int ncx_monitor_pid(const char *io, ${answer})`,
  ncx_attach:
    "int ncx_attach(const char *monitor, const char *io, const char *log, int64_t log_max_bytes," +
    ` const char *exit_record, int pid, int timeout_ms, ${answer})`,
  ncx_can_overlay: `int ncx_can_overlay(const char *path, int timeout_ms, ${answer})`,
};

type Call = (name: keyof typeof prototypes, args: Argument[]) => Promise<string>;

/** Calls into libncx.so on a thread of libuv's; gives the JSON that it answered. */
async function bind(path: string): Promise<Call> {
  const koffi = await import("koffi");
  const library = (() => {
    try {
      return koffi.load(path);
    } catch (error) {
      throw unavailable(`${path} cannot be loaded: ${error instanceof Error ? error.message : error}`, {
        hint: "build it: native/build",
      });
    }
  })();
  const functions = new Map(
    Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)] as const),
  );
  const call = (name: keyof typeof prototypes, args: Argument[], jsonBytes: number): Promise<string> => {
    const json = Buffer.allocUnsafe(jsonBytes);
    const error = Buffer.allocUnsafe(errorBytes);
    return new Promise((resolve, reject) => {
      const done = (thrown: unknown, result: number) => {
        if (thrown) reject(thrown);
        else if (result === -EOVERFLOW && jsonBytes < jsonMaxBytes)
          call(name, args, jsonBytes * 8).then(resolve, reject);
        else if (result < 0) reject(failure(name, result, text(error)));
        else resolve(text(json));
      };
      functions.get(name)?.async(...args, json, json.length, error, error.length, done);
    });
  };
  return (name, args) => call(name, args, 8 * 1024);
}

/** Only calls that change nothing have answers of any length, so asking again is safe. */
const jsonMaxBytes = 4 * 1024 * 1024;
const errorBytes = 8 * 1024;
const EOVERFLOW = constants.errno.EOVERFLOW;

function text(buffer: Buffer): string {
  return buffer.toString("utf8", 0, buffer.indexOf(0));
}

function parse<Schema extends z.ZodType>(schema: Schema, json: string): z.infer<Schema> {
  return schema.parse(JSON.parse(json));
}

function failure(name: string, result: number, json: string): NexcageError {
  const { kind, message, ...details } = parse(Failure, json);
  return new NexcageError(failureKinds[kind], message, {
    details: { call: name, errno: -result, ...details },
  });
}

function unavailable(reason: string, options: { hint: string }): NexcageError {
  return new NexcageError("BACKEND_UNAVAILABLE", `crun: ${reason}`, options);
}
