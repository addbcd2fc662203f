import type { Exit } from "../../shared/container.ts";

/** How a container ended, in words: `exit code 3`, `signal 9, out of memory`. */
export function describeExit(exit: Exit | undefined): string {
  const oom = exit?.oomKilled === true ? ", out of memory" : "";
  if (exit?.signal !== undefined) return `signal ${exit.signal}${oom}`;
  if (exit?.exitCode !== undefined) return `exit code ${exit.exitCode}${oom}`;
  return "nobody saw how";
}
