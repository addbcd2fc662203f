import test, { type ExecutionContext, type TestFn } from "ava";
import { whyNoHosts } from "../hosts/hosts.ts";
import { whyNoProxmox } from "../proxmox/nodes.ts";

/** A test that needs hosts; where there can be none it is skipped, and its title says why. */
export function hostTest(title: string, implementation: (t: ExecutionContext) => Promise<void>): void {
  testUnless(whyNoHosts(), title, implementation);
}

/** The same, one after the other: each is a lot of work. */
export function serialHostTest(title: string, implementation: (t: ExecutionContext) => Promise<void>): void {
  testUnless(whyNoHosts(), title, implementation, test.serial);
}

/** As `hostTest`, with hosts that are Proxmox VE nodes; one after the other, because each is a lot of work. */
export function proxmoxTest(title: string, implementation: (t: ExecutionContext) => Promise<void>): void {
  testUnless(whyNoProxmox(), title, implementation, test.serial);
}

/** A test that is skipped where there is a reason, which its title then says. */
export function testUnless(
  reason: string | undefined,
  title: string,
  implementation: (t: ExecutionContext) => Promise<void>,
  run: TestFn | typeof test.serial = test,
): void {
  if (reason !== undefined) {
    (test.skip as TestFn)(`${title} (${reason})`, implementation);
    return;
  }
  run(title, implementation);
}
