// On a test host: runs pct as the agent does, with a deadline of its own; prints how it ended.
import { pct } from "../../agent/backends/lxc/pct.ts";
import { openLog } from "../../agent/log.ts";
import { asNexcageError } from "../../shared/errors.ts";

const [timeoutMs = "", verb = "", vmid = "", ...rest] = process.argv.slice(2);
const signal = new AbortController().signal;
try {
  await pct([verb, Number(vmid), ...rest], {
    log: openLog("error", "json"),
    signal,
    timeoutMs: Number(timeoutMs),
  });
  process.stdout.write(`${JSON.stringify({ code: "OK" })}\n`);
} catch (error) {
  process.stdout.write(`${JSON.stringify(asNexcageError(error))}\n`);
}
