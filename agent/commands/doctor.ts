import { command, print, printJson } from "./command.ts";
import { openAgent } from "./open.ts";

const marks = { ok: "ok", warning: "warning", failed: "FAILED" } as const;

export const doctor = command({
  command: "doctor",
  describe: "Check what this host has, what is missing, and what to do about it",
  builder: (yargs) => yargs,
  async handler(globals) {
    const { examine } = await import("../doctor.ts");
    await using opened = await openAgent(globals);
    const checks = await examine(opened.runtime, opened.paths, opened);
    if (globals.output === "json") printJson(checks);
    else
      for (const { name, result, message, hint } of checks) {
        print(`${marks[result].padEnd(7)}  ${name}: ${message}`);
        if (hint !== undefined) print(`         hint: ${hint}`);
      }
    if (checks.some(({ result }) => result === "failed")) process.exitCode = 1;
  },
});
