import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";
import { dist } from "../dist.ts";
import { type StartOptions, startHosts, type TestHost, type TestHosts } from "../hosts/hosts.ts";
import { makeRootfs } from "./rootfs.ts";

/** A workstation's folder with real hosts behind it, as a user has them. */
export type Bed = AsyncDisposable & {
  folder: string;
  hosts: TestHosts;
  host(name: string): TestHost;
  /** Writes `fleet.yaml`: its containers come from `rootfs: ./rootfs` where they name no other source. */
  writeFleet(containers: Record<string, object>, options?: object): Promise<void>;
  /** Writes `inventory.yaml`; `extra` is merged into each host's entry, and may have hosts of its own. */
  writeInventory(extra?: Record<string, object>, defaults?: object): Promise<void>;
  /** Runs the built `nexcage` in the folder, with no terminal. */
  nexcage(...args: string[]): Promise<CommandResult>;
  /** The same, still running. */
  start(args: string[], options?: CommandOptions): ReturnType<typeof startNexcage>;
};

export type CommandResult = { exitCode: number | undefined; stdout: string; stderr: string };

export type CommandOptions = { input?: string; env?: Record<string, string> };

function startNexcage(folder: string, args: string[], { input, env }: CommandOptions) {
  return execa(join(dist, "nexcage"), args, {
    cwd: folder,
    // The user's own keys, agent and configuration are not this test's.
    env: {
      PATH: process.env.PATH ?? "",
      HOME: join(folder, "home"),
      XDG_CACHE_HOME: join(folder, "cache"),
      ...env,
    },
    extendEnv: false,
    ...(input === undefined ? { stdin: "ignore" as const } : { input }),
    reject: false,
  });
}

export async function makeBed(
  names: string[] = ["node1", "node2", "node3"],
  { proxmox = false, debian = {} }: Pick<StartOptions, "proxmox" | "debian"> = {},
): Promise<Bed> {
  await using undo = new AsyncDisposableStack();
  const folder = await mkdtemp("/var/tmp/nexcage-bed-");
  undo.defer(() => rm(folder, { recursive: true, force: true }));
  const hosts = undo.use(await startHosts({ names, proxmox, debian }));
  await mkdir(join(folder, "home"));
  await makeRootfs(join(folder, "rootfs"));

  const start: Bed["start"] = (args, options = {}) => startNexcage(folder, args, options);
  const bed: Omit<Bed, typeof Symbol.asyncDispose> = {
    folder,
    hosts,
    host: (name) => hosts.host(name),
    async writeFleet(containers, options = {}) {
      const withSource = Object.fromEntries(
        Object.entries(containers).map(([name, container]) => [
          name,
          ["bundle", "rootfs", "template"].some((word) => word in container)
            ? container
            : { rootfs: "./rootfs", ...container },
        ]),
      );
      const document = {
        apiVersion: "nexcage/v1",
        kind: "Fleet",
        name: "shop",
        ...options,
        containers: withSource,
      };
      await writeFile(join(folder, "fleet.yaml"), stringify(document));
    },
    async writeInventory(extra = {}, defaults = {}) {
      const real = hosts.hosts.map(({ name, address }) => [name, { address, ...extra[name] }]);
      const entries = [...Object.entries(extra), ...real];
      const document = {
        apiVersion: "nexcage/v1",
        kind: "Inventory",
        defaults: {
          ssh: {
            user: "root",
            identity_file: join(hosts.dir, "id_ed25519"),
            known_hosts: join(hosts.dir, "known_hosts"),
          },
          agent: { path: join(dist, "nexcage-agent") },
          ...defaults,
        },
        hosts: Object.fromEntries(entries),
      };
      await writeFile(join(folder, "inventory.yaml"), stringify(document));
    },
    async nexcage(...args) {
      const { exitCode, stdout, stderr } = await start(args);
      return { exitCode, stdout: String(stdout), stderr: String(stderr) };
    },
    start,
  };
  await bed.writeInventory();
  const everything = undo.move();
  return { ...bed, [Symbol.asyncDispose]: () => everything.disposeAsync() };
}
