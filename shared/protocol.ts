import * as z from "zod";
import { Change, Described, Hello, LockHolder, LogLine, Observed, ProcessInfo } from "./container.ts";
import { type ErrorJson, isErrorCode } from "./errors.ts";
import { ContainerId, Digest, OperationId } from "./ids.ts";
import { ContainerSpec, EnvironmentName, EnvironmentValue, SnapshotPolicy, User } from "./spec.ts";

/*
 * What `nexcage` and `nexcage-agent` say to each other: JSON-RPC 2.0 with `Content-Length` frames over
 * the stdio of `nexcage-agent serve --stdio`. The agent opens with the mark; `hello` comes first. Every
 * request that changes a container carries an operation id: sent again, it gives the recorded result.
 */

/** The line that the agent writes before its first frame. What a login shell prints comes before it. */
export const mark = "nexcage-agent serve: ready\n";

/** `major.minor`: the same major talks; a newer minor only adds. */
export const protocolVersion = "1.3";

export const limits = {
  /** Refused by its header, before it is buffered. */
  frameBytes: 16 * 1024 * 1024,
  /** Of one session; the next one is an error answer. */
  requestsInFlight: 256,
  /** What may come before the mark. */
  preambleBytes: 64 * 1024,
  /** A piece of an upload or of a stream, before base64. */
  chunkBytes: 512 * 1024,
  /** The controller says something this often, so that the agent can tell a dead link from an idle one. */
  heartbeatMs: 2_000,
  /** The agent ends its session after so long a silence. */
  silenceMs: 12_000,
} as const;

const TerminalSize = z.object({ rows: z.int().positive(), columns: z.int().positive() });

const nothing = z.object({});
const container = z.object({ id: ContainerId });
/** What each change carries: its id, and for whom: a container of another owner is not touched. */
const operation = z.object({ operationId: OperationId, fleet: z.string().optional() });

const make = operation.extend({
  spec: ContainerSpec,
  start: z.boolean().optional(),
  /** How many may be made at once on one storage of Proxmox's (1). */
  storageParallel: z.int().positive().optional(),
});

/** Each method with the schemas of what it takes and what it gives. */
export const methods = {
  hello: {
    params: z.object({ protocol: z.string(), controllerVersion: z.string() }),
    result: Hello,
  },

  "fleet/lock": { params: z.object({ fleet: z.string(), holder: LockHolder }), result: nothing },
  "fleet/unlock": { params: z.object({ fleet: z.string() }), result: nothing },

  "container/list": { params: nothing, result: z.object({ containers: z.array(Observed) }) },
  "container/state": { params: container, result: Observed },
  "container/ps": { params: container, result: z.object({ processes: z.array(ProcessInfo) }) },

  "container/create": {
    params: make,
    result: Change,
  },
  "container/replace": {
    params: make,
    result: Change,
  },
  "container/update": {
    params: operation.extend({ spec: ContainerSpec, snapshot: SnapshotPolicy.optional() }),
    result: Change,
  },
  "container/start": { params: operation.extend({ id: ContainerId }), result: Change },
  "container/stop": {
    params: operation.extend({ id: ContainerId, gracePeriodMs: z.int().nonnegative().optional() }),
    result: Change,
  },
  "container/restart": {
    params: operation.extend({ id: ContainerId, gracePeriodMs: z.int().nonnegative().optional() }),
    result: Change,
  },
  "container/pause": { params: operation.extend({ id: ContainerId }), result: Change },
  "container/resume": { params: operation.extend({ id: ContainerId }), result: Change },
  "container/kill": {
    params: operation.extend({ id: ContainerId, signal: z.string(), all: z.boolean().optional() }),
    result: Change,
  },
  "container/delete": {
    params: operation.extend({ id: ContainerId, force: z.boolean().optional() }),
    result: Change,
  },
  /** Guests of Proxmox's that others have made, as they would be in a fleet. */
  "container/describe": {
    params: z.object({ vmids: z.array(z.int()).min(1) }),
    result: z.object({ guests: z.array(Described), templates: z.array(z.string()) }),
  },
  "container/adopt": { params: operation.extend({ vmid: z.int(), spec: ContainerSpec }), result: Change },
  /** Their results have arrived: the journal may forget them. */
  "operation/acknowledge": { params: z.object({ operationIds: z.array(OperationId) }), result: nothing },

  /** Answers when the process has ended; its output is `streamData` under `stream`. Cancelled: it is killed. */
  "container/exec": {
    params: z.object({
      id: ContainerId,
      stream: z.int(),
      command: z.array(z.string()).min(1),
      environment: z.record(EnvironmentName, EnvironmentValue).optional(),
      user: User.optional(),
      workingDir: z.string().optional(),
      tty: TerminalSize.optional(),
    }),
    result: z.object({ exitCode: z.int().optional(), signal: z.int().optional() }),
  },
  /** For the stdin of an `exec`; answered once it is taken, so that who sends can wait. `end` closes it. */
  "exec/input": {
    params: z.object({ stream: z.int(), data: z.base64().optional(), end: z.boolean().optional() }),
    result: nothing,
  },
  "exec/resize": { params: z.object({ stream: z.int(), size: TerminalSize }), result: nothing },
  /** Answers when all is said, or with `follow` when it is cancelled or the container is gone. */
  "container/logs": {
    params: z.object({
      id: ContainerId,
      stream: z.int(),
      tail: z.int().nonnegative().optional(),
      since: z.iso.datetime().optional(),
      follow: z.boolean().optional(),
    }),
    result: nothing,
  },

  "image/missing": {
    params: z.object({ digests: z.array(Digest) }),
    result: z.object({ digests: z.array(Digest) }),
  },
  /** `path` is where the bytes belong, for who can write there; `present` when they are not needed any more. */
  "image/begin": {
    params: z.object({
      digest: Digest,
      /** Of the bytes that are sent. */
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      bytes: z.int().nonnegative(),
    }),
    result: z.object({ upload: z.string(), path: z.string(), present: z.boolean() }),
  },
  "image/chunk": {
    params: z.object({ upload: z.string(), offset: z.int().nonnegative(), data: z.base64() }),
    result: nothing,
  },
  /** Checks the bytes and unpacks them. */
  "image/commit": { params: z.object({ upload: z.string() }), result: nothing },
  /** Removes what no container and no open session uses. */
  "image/prune": { params: nothing, result: z.object({ removed: z.array(Digest) }) },
} as const;

export type Method = keyof typeof methods;

/** From this minor version on `hello` says who answers, and no more: before, also what runs containers there. */
export const shortHelloSince = 3;

/** The minor version that has brought a method; what is not named has been there from 1.0 on. */
export const sinceMinor: Partial<Record<Method, number>> = {
  "container/restart": 1,
  "container/pause": 1,
  "container/resume": 1,
};

/** Of a method's parameters, those without which it would be done otherwise than asked. */
export const parametersSince: Partial<Record<Method, Record<string, number>>> = {
  "container/update": { snapshot: 2 },
};

export type Params<M extends Method> = z.infer<(typeof methods)[M]["params"]>;
export type Result<M extends Method> = z.infer<(typeof methods)[M]["result"]>;

/** Told, not asked: nobody answers these. All but `heartbeat` come from the agent. */
export const notifications = {
  /** From the controller, when it has nothing else to say. */
  heartbeat: nothing,
  /** The step that an operation has reached. */
  progress: z.object({ operationId: OperationId, step: z.string() }),
  /** A piece of what an `exec` wrote. */
  streamData: z.object({ stream: z.int(), channel: z.enum(["stdout", "stderr"]), data: z.base64() }),
  /** Lines of `logs`. */
  streamLines: z.object({ stream: z.int(), lines: z.array(LogLine) }),
} as const;

export type Notification = keyof typeof notifications;
export type NotificationParams<N extends Notification> = z.infer<(typeof notifications)[N]>;

/** The JSON-RPC error code under which a NexcageError travels, its JSON as the error's data. */
export const errorCode = -32_000;

/** A code of a newer agent that we do not know is `INTERNAL` here; its words stay. */
export const ErrorData: z.ZodType<ErrorJson> = z.object({
  code: z.string().transform((code) => (isErrorCode(code) ? code : "INTERNAL")),
  message: z.string(),
  hint: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});
