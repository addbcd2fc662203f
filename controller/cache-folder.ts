import { homedir } from "node:os";
import { join } from "node:path";

/** Where this machine keeps what can be had again at any time. */
export function cacheFolder({ XDG_CACHE_HOME }: NodeJS.ProcessEnv): string {
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "nexcage");
}
