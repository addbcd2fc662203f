import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * Node without its symbols, which nothing here reads and which are a seventh of it. Kept in the cache.
 * @returns the path of the stripped program, or of the given one where there is no `strip`
 */
export function stripNode(node: string): string {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nexcage");
  const digest = createHash("sha256").update(readFileSync(node)).digest("hex").slice(0, 16);
  const kept = join(cache, `node-${digest}`);
  if (existsSync(kept)) return kept;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "strip-"));
  try {
    const made = join(folder, "node");
    execFileSync("strip", ["--strip-all", "-o", made, node], { stdio: ["ignore", "ignore", "inherit"] });
    renameSync(made, kept);
    return kept;
  } catch {
    return node;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
