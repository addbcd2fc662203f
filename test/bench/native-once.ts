/*
 * Runs inside a test host, sealed: native-once.ts LIBRARIES FOLDER. Makes, starts, asks, kills and deletes
 * containers by libcrun in this process and by the `crun` program in turn, and prints the medians.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { loadNative } from "../../agent/backends/crun/native.ts";
import { makeDefaultConfig } from "./config.ts";
import { median, timed } from "./measure.ts";
import type { NativeTimes } from "./native.ts";

type Config = Record<string, unknown>;

/** One side: how it does each call. */
type Side = {
  create(id: string, bundle: string): Promise<unknown>;
  start(id: string): Promise<unknown>;
  state(id: string): Promise<{ status: string }>;
  kill(id: string): Promise<unknown>;
  delete(id: string): Promise<unknown>;
};

const calls = ["create", "start", "state", "kill", "delete"] as const;
const rounds = 30;
/** One call follows another, as where many containers are looked at. */
const statesPerLife = 5;
const [libraries = "", folder = ""] = process.argv.slice(2);
const rootfs = join(folder, "rootfs");

const native = await loadNative(libraries);
const nativeRoot = join(folder, "ffi");
const ours: Side = {
  create: async (id, bundle) => {
    const ioPath = join(folder, `${id}.io`);
    await mkdir(ioPath);
    const output = {
      kind: "monitor",
      ioPath,
      logPath: join(folder, `${id}.log`),
      logMaxBytes: 1024 * 1024,
      exitRecordPath: join(folder, `${id}.exit`),
    } as const;
    await native.create({ root: nativeRoot, id }, { bundle, output });
  },
  start: (id) => native.start({ root: nativeRoot, id }),
  state: (id) => native.state({ root: nativeRoot, id }),
  kill: (id) => native.kill({ root: nativeRoot, id }, "SIGKILL"),
  delete: (id) => native.delete({ root: nativeRoot, id }, { force: false }),
};

const root = ["--root", join(folder, "program")];
const peer: Side = {
  create: (id, bundle) => crun("create", "--bundle", bundle, id),
  start: (id) => crun("start", id),
  state: async (id) => JSON.parse((await promisify(execFile)("crun", [...root, "state", id])).stdout),
  kill: (id) => crun("kill", id, "KILL"),
  delete: (id) => crun("delete", id),
};

/** Without pipes: the container's init would inherit them, and who waits for their end waits for its end. */
async function crun(...args: string[]): Promise<void> {
  const [code] = await once(spawn("crun", [...root, ...args], { stdio: ["ignore", "ignore", 2] }), "exit");
  if (code !== 0) throw new Error(`crun ${args.join(" ")} ended with ${code}`);
}

/** A whole life; how long each call took, in ms. */
async function live(side: Side, id: string, config: Config): Promise<Record<(typeof calls)[number], number>> {
  const bundle = join(folder, id);
  await mkdir(bundle);
  await writeFile(join(bundle, "config.json"), JSON.stringify(config));
  const create = await timed(() => side.create(id, bundle));
  const start = await timed(() => side.start(id));
  const states: number[] = [];
  for (let time = 0; time < statesPerLife; time++) states.push(await timed(() => side.state(id)));
  const kill = await timed(() => side.kill(id));
  while ((await side.state(id)).status !== "stopped") await delay(1);
  return { create, start, state: median(states), kill, delete: await timed(() => side.delete(id)) };
}

async function measure(
  config: string,
  configOf: (id: string) => Promise<Config>,
): Promise<NativeTimes[number]> {
  const taken = calls.map((call) => [call, { ours: [] as number[], peer: [] as number[] }] as const);
  for (let round = -1; round < rounds; round++) {
    const sides = Object.entries({ ours, peer });
    if (round % 2 === 0) sides.reverse();
    for (const [name, side] of sides) {
      const id = `${name}-${config.replaceAll(/\W+/g, "-")}-${round + 1}`;
      const life = await live(side, id, await configOf(id));
      if (round < 0) continue; // the first of each warms up
      for (const [call, times] of taken) times[name === "ours" ? "ours" : "peer"].push(life[call]);
    }
  }
  const medians = taken.map(([call, times]) => [
    call,
    { ours: median(times.ours), peer: median(times.peer) },
  ]);
  return { config, crunVersion, medians: Object.fromEntries(medians) };
}

/** The least that runs: four namespaces and three mounts. */
async function lightConfig(id: string): Promise<Config> {
  return {
    ociVersion: "1.0.2",
    root: { path: rootfs },
    process: { cwd: "/", args: ["/bin/sleep", "1000"], user: { uid: 0, gid: 0 } },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
      { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["newinstance"] },
    ],
    linux: {
      cgroupsPath: `/bench-${id}`,
      namespaces: ["pid", "mount", "ipc", "uts"].map((type) => ({ type })),
    },
  };
}

const defaultConfig = (id: string): Promise<Config> =>
  makeDefaultConfig({ id, command: ["/bin/sleep", "1000"], rootfsPath: rootfs, cgroupsPath: `/bench-${id}` });

const { stdout } = await promisify(execFile)("crun", ["--version"]);
const [, crunVersion = ""] = /crun version (\S+)/.exec(stdout) ?? [];
const measured: NativeTimes = [
  await measure("light config", lightConfig),
  await measure("the product's default config", defaultConfig),
];
process.stdout.write(JSON.stringify(measured));
