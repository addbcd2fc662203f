/*
 * crun's own tests, of the release that the native library is built of: they are where its source is, and run from
 * there. (They are under the GPL, and no part of this repository.)
 */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import type { TestHost } from "../hosts/host.ts";

export type Verdict = "ok" | "not ok" | "skipped";

/** The folder of crun's source; as `native/build` unpacks it. */
export function crunSource(): string {
  const build = join(import.meta.dirname, "../../native/build");
  return execFileSync(build, ["--libcrun"], { encoding: "utf8", timeout: 600_000 }).trim();
}

/** The files with tests, by their names. At once, as tests have to be declared. */
export function listSuite(source: string): string[] {
  const names = readdirSync(join(source, "tests"));
  return names.filter((name) => /^test_.*\.py$/.test(name)).sort();
}

/** The program that is the init of the suite's containers, which have no libraries. */
export async function compileInit(source: string, folder: string): Promise<string> {
  const program = join(folder, "init");
  const args = ["-static", "-O1", "-w", "-I", source, "-o", program, join(source, "tests/init.c")];
  await execa("gcc", args, { timeout: 120_000 });
  return program;
}

/** Nothing is written where crun's source is. */
const python = { PYTHONDONTWRITEBYTECODE: "1", PYTHONPATH: join(import.meta.dirname, "python") };

/** What TAP says of each test of a file, and all that was written, for whoever looks into a failure. */
export async function runSuite(
  host: TestHost,
  { source, name, init, runtime }: { source: string; name: string; init: string; runtime: string },
): Promise<{ verdicts: Record<string, Verdict>; output: string }> {
  const work = join(host.dir, "suite");
  await mkdir(work, { recursive: true });
  const { stdout, stderr } = await host.exec(
    ["sh", "-c", 'cd "$0" && exec "$@"', work, "python3", join(source, "tests", name)],
    {
      env: { OCI_RUNTIME: runtime, INIT: init, TMPDIR: work, ...python },
      timeoutMs: 240_000,
    },
  );
  return { verdicts: parseTap(stdout), output: `${stdout}\n${stderr}` };
}

/** `ok 1 - name`, `ok 2 - name #SKIP`, `not ok 3 - name`; a test that is planned and has no line was never reached. */
export function parseTap(text: string): Record<string, Verdict> {
  const lines = [...text.matchAll(/^(ok|not ok) \d+ - (\S+)( #SKIP)?/gm)];
  return Object.fromEntries(
    lines.map(([, verdict, name, skip]) => [
      name ?? "",
      skip === undefined ? (verdict === "ok" ? "ok" : "not ok") : "skipped",
    ]),
  );
}
