import test, { type ExecutionContext, type TestFn } from "ava";
import { whyNoHosts } from "../hosts/hosts.ts";

/** A test that needs hosts; where there can be none it is skipped, and its title says why. */
export function hostTest(title: string, implementation: (t: ExecutionContext) => Promise<void>): void {
  const reason = whyNoHosts();
  if (reason !== undefined) {
    (test.skip as TestFn)(`${title} (${reason})`, implementation);
    return;
  }
  test(title, implementation);
}
