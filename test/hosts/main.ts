// Test hosts by hand: `node test/hosts/main.ts up 3`, then `ssh -F DIR/ssh_config host1`.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import { startHosts, whyNoHosts } from "./hosts.ts";
import { isAlive } from "./processes.ts";
import { listRuns, type Run, sweepRuns } from "./runs.ts";
import { waitFor } from "./wait.ts";

const usage = `test hosts on this machine, as root

  up COUNT [--dir DIR]          start hosts, stay until Ctrl-C, remove them
  up COUNT [--dir DIR] --detach start hosts and leave them to "down"
  up COUNT --proxmox            hosts with pct, pvesh, … and LXC
  exec NAME [--dir DIR] -- PROGRAM ARG…
                                run a program on a host, over ssh
  down [--dir DIR]              remove what "up" has started
  down --stale                  remove what crashed runs have left
`;

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parse(args);
  const [command, what, ...rest] = positionals;
  const dir = values.dir === undefined ? undefined : resolve(values.dir);
  if (command === "up" && what !== undefined && /^\d+$/.test(what)) {
    const reason = whyNoHosts();
    if (reason !== undefined) throw new NexcageError("REFUSED", reason);
    const { proxmox = false } = values;
    return values.detach
      ? await upDetached(what, { dir, proxmox })
      : await up(Number(what), { dir, proxmox });
  }
  if (command === "down") return values.stale ? await downStale() : await down(dir);
  if (command === "exec" && what !== undefined && rest.length > 0) return await execOn(what, rest, dir);
  process.stderr.write(usage);
  return 64;
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        dir: { type: "string" },
        proxmox: { type: "boolean" },
        detach: { type: "boolean" },
        stale: { type: "boolean" },
      },
    });
  } catch (cause) {
    throw new NexcageError("USAGE", cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

type UpOptions = { dir: string | undefined; proxmox: boolean };

async function up(count: number, { dir, proxmox }: UpOptions): Promise<number> {
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(name, () => interrupted.abort());
  const { signal } = interrupted;
  await using running = await startHosts({
    ...{ count, signal, byHand: true, proxmox },
    ...(dir !== undefined && { dir }),
  });
  for (const host of running.hosts)
    console.log(`${host.name}  ${host.address}  ssh -F ${running.dir}/ssh_config ${host.name}`);
  console.log("ready");
  // A timer keeps the process: a listener for a signal alone does not.
  const keepAlive = setInterval(() => {}, 2 ** 30);
  if (!signal.aborted) await once(signal, "abort");
  clearInterval(keepAlive);
  return 0;
}

/** Leaves a process of its own behind as owner of the hosts. */
async function upDetached(count: string, { dir, proxmox }: UpOptions): Promise<number> {
  const args = [
    ...process.execArgv,
    import.meta.filename,
    "up",
    count,
    ...(dir === undefined ? [] : ["--dir", dir]),
    ...(proxmox ? ["--proxmox"] : []),
  ];
  const owner = spawn(process.execPath, args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  owner.unref();
  let text = "";
  for await (const chunk of owner.stdout) {
    text += chunk;
    if (text.endsWith("ready\n")) break;
  }
  process.stdout.write(text);
  return text.endsWith("ready\n") ? 0 : 1;
}

async function downStale(): Promise<number> {
  for (const run of await sweepRuns()) console.log(`removed ${run.dir}`);
  return 0;
}

/** Asks the owner to take its hosts down, because it knows best; removes them where it did not. */
async function down(dir: string | undefined): Promise<number> {
  const run = await chooseRun(dir);
  process.kill(run.owner.pid, "SIGTERM");
  const gone = async () => ((await isAlive(run.owner)) ? undefined : true);
  await waitFor(gone, { what: `end of process ${run.owner.pid}`, timeoutMs: 30_000 });
  await sweepRuns();
  console.log(`removed ${run.dir}`);
  return 0;
}

/** The one run that "up" has started; those of tests are not for other hands. */
async function chooseRun(dir: string | undefined): Promise<Run> {
  const runs = (await listRuns()).filter((run) => run.byHand && (dir === undefined || run.dir === dir));
  const [run] = runs;
  if (run === undefined)
    throw new NexcageError("USAGE", "no test hosts are up", { hint: "start some: up 3" });
  if (runs.length > 1)
    throw new NexcageError("USAGE", "there are several runs of test hosts", {
      hint: `choose one: ${runs.map((each) => `--dir ${each.dir}`).join(", ")}`,
    });
  return run;
}

async function execOn(name: string, program: string[], dir: string | undefined): Promise<number> {
  const run = await chooseRun(dir);
  const config = join(run.dir, "ssh_config");
  if (!(await readFile(config, "utf8")).includes(`Host ${name}\n`))
    throw new NexcageError("USAGE", `there is no test host "${name}" in ${run.dir}`);
  // ssh has one string for the shell there: each word in quotes, so that it arrives as it was given.
  const words = program.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  const ssh = spawn("ssh", ["-F", config, name, words], { stdio: "inherit" });
  const [exitCode] = await once(ssh, "exit");
  return exitCode ?? 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { message, hint, exitCode } = asNexcageError(error);
  process.stderr.write(`${message}${hint === undefined ? "" : `\n${hint}`}\n`);
  process.exitCode = exitCode;
}
