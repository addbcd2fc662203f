import * as z from "zod";
import { NexcageError } from "../../shared/errors.ts";
import type { Emit } from "../events.ts";
import type { Host } from "../inventory/model.ts";
import type { Transport } from "../transport.ts";
import type { AgentBuild } from "./agent-build.ts";
import { chooseBuild, decideNeed } from "./decide.ts";
import { Installer } from "./installer.ts";
import { requireUserName } from "./user-name.ts";

export type BootstrapOptions = {
  builds: AgentBuild[];
  /** Only say what would be done. */
  check: boolean;
  /** Also where the new agent's doctor finds a failure that the old one's did not. */
  force: boolean;
  /** Whom to let run the agent by sudo: a name, or `true` for who logs in. */
  withSudo: string | true | undefined;
  emit: Emit;
  signal: AbortSignal;
};

/** What became of the agent on one host. */
export type Bootstrapped = {
  change: "none" | "install" | "upgrade" | "rollback";
  before: string | undefined;
  build: string;
  sentBytes: number;
  /** The file with the rule for sudo, where one was asked for. */
  sudoRule: string | undefined;
  /** Whoever logs in. */
  user: string;
};

/**
 * Brings the agent of this nexcage to a host: looks, sends what is missing, tries it, and only then switches. What
 * ran before runs until then, and stays for a way back. Cut off anywhere, the next one goes on from there.
 * @throws {NexcageError} `PLATFORM_UNSUPPORTED`, `REFUSED`, `DISK_FULL`, `UPLOAD_FAILED`, `SIGNATURE_INVALID`,
 * `TRIAL_FAILED`, `LOCK_HELD`, `BECOME_FAILED`, and what a connection throws
 */
export async function bootstrapHost(
  host: Host,
  transport: Transport,
  options: BootstrapOptions,
): Promise<Bootstrapped> {
  const { builds, check, force, withSudo, emit, signal } = options;
  const { name, agentPath } = host;
  const step = (text: string): void => emit({ kind: "agent.step", host: name, step: text });
  await using installer = await Installer.start(transport, { host: name, agentPath, signal });
  step("looking at what is there");
  const facts = await installer.look({ signal });
  const build = chooseBuild(name, facts, builds);
  const whole = new Set<string>();
  for (const [known, node] of facts.builds)
    if (known === build.build || (node === build.nodeSha256 && !facts.builds.has(build.build)))
      if (await installer.isWhole(known, { signal })) whole.add(known);
  const need = decideNeed(name, facts, { build, whole, agentPath });

  const before = facts.current;
  const sentBytes = need.kind === "send" ? need.bytes : 0;
  const change = need.kind === "nothing" ? "none" : before === undefined ? "install" : "upgrade";
  const told = {
    change,
    before,
    build: build.build,
    sentBytes,
    sudoRule: undefined,
    user: facts.user,
  } as const;
  const user = withSudo === true ? facts.user : withSudo;
  if (user === "root")
    throw new NexcageError("USAGE", `${name} is logged into as root, who needs no rule for sudo`, {
      hint: "say whom to write one for: --with-sudo=USER",
    });
  requireUserName(user);
  if (check) return told;

  if (need.kind === "send") {
    const path = `agent ${build.build}`;
    const startedMs = performance.now();
    step("sending the agent");
    emit({ kind: "upload.started", host: name, path, bytes: need.bytes });
    const onProgress = (sentBytes: number): void => {
      emit({ kind: "upload.progress", host: name, path, sentBytes, bytes: need.bytes });
      if (sentBytes === need.bytes) step("checking it");
    };
    await installer.receive(build, { nodeFrom: need.nodeFrom, onProgress, signal });
    const durationMs = performance.now() - startedMs;
    emit({ kind: "upload.done", host: name, path, bytes: need.bytes, durationMs });
  }
  if (need.kind !== "nothing") {
    step("trying it");
    await tryBuild(installer, build.build, { host: name, current: before, force, signal });
    await installer.switchTo(build.build, { signal });
  }
  if (user === undefined) return told;
  return { ...told, sudoRule: await installer.allowSudo(user, { signal }) };
}

/**
 * Goes back to the agent that ran before, which is tried first as a new one is.
 * @throws {NexcageError} `REFUSED` where there is none, and as {@link bootstrapHost}
 */
export async function rollBackHost(
  host: Host,
  transport: Transport,
  { check, force, signal }: Pick<BootstrapOptions, "check" | "force" | "signal">,
): Promise<Bootstrapped> {
  const { name, agentPath } = host;
  await using installer = await Installer.start(transport, { host: name, agentPath, signal });
  const { current, previous, user } = await installer.look({ signal });
  if (previous === undefined || previous === current)
    throw new NexcageError("REFUSED", `${name} has no earlier agent to go back to`, {
      hint: "nexcage fleet bootstrap --agent DIR sends any build",
    });
  if (!check) {
    await tryBuild(installer, previous, { host: name, current, force, signal });
    await installer.switchTo(previous, { signal });
  }
  return { change: "rollback", before: current, build: previous, sentBytes: 0, sudoRule: undefined, user };
}

/**
 * Takes the agent from a host, and leaves its containers, which go on.
 * @returns the build that it had; undefined where none of ours was there
 */
export async function unbootstrapHost(
  host: Host,
  transport: Transport,
  { signal }: { signal: AbortSignal },
): Promise<string | undefined> {
  const { name, agentPath } = host;
  await using installer = await Installer.start(transport, { host: name, agentPath, signal });
  const { current } = await installer.look({ signal });
  await installer.remove({ signal });
  return current;
}

const Checks = z.array(
  z.object({
    name: z.string(),
    result: z.enum(["ok", "warning", "failed"]),
    message: z.string(),
    hint: z.string().optional(),
  }),
);

/** The check that stands for a doctor that could not be run. */
const unreadable = "doctor";

type FailedCheck = z.infer<typeof Checks>[number];

/** Runs a build before anything uses it. What the one before finds wrong as well is not the new one's fault. */
async function tryBuild(
  installer: Installer,
  build: string,
  options: { host: string; current: string | undefined; force: boolean; signal: AbortSignal },
): Promise<void> {
  const { host, current, force, signal } = options;
  await installer.version(build, { signal });
  if (force) return;
  const failed = await failures(installer, build, { signal });
  if (failed.length === 0) return;
  // One that does not work any more stands in nobody's way.
  const before =
    current === undefined || current === build ? [] : await failures(installer, current, { signal });
  if (before.some(({ name }) => name === unreadable)) return;
  const known = new Set(before.map(({ name }) => name));
  const news = failed.filter(({ name }) => !known.has(name));
  const [first] = news;
  if (first === undefined) return;
  const found = news.map(({ name, message }) => `${name}: ${message}`).join("; ");
  const hint = first.hint === undefined ? "" : `${first.hint}; `;
  throw new NexcageError(
    "TRIAL_FAILED",
    `the agent ${build} is on ${host}, and finds what it cannot work with: ${found}`,
    { hint: `${hint}or switch to it all the same: --force`, details: { checks: news } },
  );
}

/** What doctor finds wrong; that it says nothing that can be read is wrong too. */
async function failures(
  installer: Installer,
  build: string,
  { signal }: { signal: AbortSignal },
): Promise<FailedCheck[]> {
  const text = await installer.doctor(build, { signal });
  try {
    return Checks.parse(JSON.parse(text)).filter(({ result }) => result === "failed");
  } catch {
    return [
      {
        name: unreadable,
        result: "failed",
        message: `says nothing that can be read: ${text.trim() || "nothing"}`,
      },
    ];
  }
}
