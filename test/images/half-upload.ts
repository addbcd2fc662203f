/** Begins an upload below the folder that it is given, says so, and waits to be killed. */
import { join } from "node:path";
import { pino } from "pino";
import { openImageStore } from "../../agent/images/store.ts";
import { flock } from "../../agent/libc.ts";
import { lockFileWith } from "../../agent/state/lock.ts";
import { Digest } from "../../shared/ids.ts";

const [, , folder = ""] = process.argv;
const store = await openImageStore({
  root: join(folder, "images"),
  uploads: join(folder, "uploads"),
  lockFile: lockFileWith(flock),
  log: pino({ level: "silent" }),
});
const sha256 = "1".repeat(64);
const { upload } = await store.begin({ digest: Digest.parse(`sha256:${sha256}`), sha256, bytes: 1000 });
await store.chunk(upload, 0, Buffer.alloc(500));
console.log("half");
setInterval(() => {}, 60_000);
