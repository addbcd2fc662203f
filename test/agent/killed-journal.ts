/* Begins the operations of its arguments, and kills itself: ROOT NAME INTENTS. */
import { flock } from "../../agent/libc.ts";
import { agentPaths } from "../../agent/paths.ts";
import { openJournal } from "../../agent/state/journal.ts";
import { lockFileWith } from "../../agent/state/lock.ts";

const [root = "", name = "", intents = "[]"] = process.argv.slice(2);
const journal = await openJournal({
  paths: agentPaths({}, root),
  lockFile: lockFileWith(flock),
  newId: () => name,
  now: () => new Date(),
  signal: new AbortController().signal,
});
for (const intent of JSON.parse(intents)) await journal.begin(intent);
process.kill(process.pid, "SIGKILL");
