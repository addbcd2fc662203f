import test from "ava";
import { startHosts, type TestHost, type TestHosts } from "../hosts/hosts.ts";
import { whyNoProxmox } from "./nodes.ts";

const reason = whyNoProxmox();

/** A test on the one node of its file, one after the other; skipped where the machine can have none. */
export const nodeTest = reason === undefined ? test.serial : test.serial.skip;

/** The node of this file, once its tests run, and the hosts that it is one of. */
export let host: TestHost;
export let hosts: TestHosts;

/** Starts the node `pve1` for this file, beside plain hosts where they are named, and has it prepared. */
export function haveNode(prepare: () => Promise<unknown> = async () => {}, plain: string[] = []): void {
  if (reason !== undefined) {
    test("skipped where the stand-in's containers cannot run", (t) => {
      t.log(reason);
      t.pass();
    });
    return;
  }
  test.before(async () => {
    hosts = await startHosts({ names: ["pve1", ...plain], proxmox: ["pve1"] });
    host = hosts.host("pve1");
    await prepare();
  });
  test.after.always(() => hosts?.stop());
}

/** Runs pct on the node. */
export async function pct(...args: string[]) {
  return await host.exec(["pct", ...args]);
}

/** Runs a program on the node; its stdout. @throws {Error} when it fails */
export async function must(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await host.exec(args);
  if (exitCode !== 0) throw new Error(`${args.join(" ")}: ${exitCode} ${stdout} ${stderr}`);
  return stdout;
}

/** What a shell on the node prints. */
export async function shell(script: string): Promise<string> {
  return (await host.exec(["sh", "-c", script])).stdout;
}
