import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";

/** A bare Debian that packages are installed in; its network is none. */
export type Root = AsyncDisposable & {
  /** Runs a program in it, whose questions Enter answers where there is no other input. */
  run(words: string[], options?: { input?: string }): Promise<{ exitCode: number | undefined; all: string }>;
};

const programs = { debootstrap: "/usr/sbin/debootstrap", "util-linux": "/usr/bin/unshare" };

/** Why there can be no such root here; undefined where there can. */
export function whyNoRoot(): string | undefined {
  if (process.getuid?.() !== 0) return "a Debian of its own needs root";
  const missing = Object.entries(programs).filter(([, program]) => !existsSync(program));
  if (missing.length > 0) return `not installed: ${missing.map(([name]) => name).join(" ")}`;
  return undefined;
}

export type Suite = "bookworm" | "trixie";

/** @param options.srv a folder of this machine that it has as /srv */
export async function makeRoot({ suite, srv }: { suite: Suite; srv: string }): Promise<Root> {
  const debianRoot = join(import.meta.dirname, "../hosts/debian-root");
  const { stdout: base } = await execa(debianRoot, [suite], { timeout: 600_000 });
  const folder = await mkdtemp(join(tmpdir(), "nexcage-root-"));
  for (const name of ["upper", "work", "root"]) await mkdir(join(folder, name), { mode: 0o755 });
  const inside = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child"];
  return {
    async run(words, { input = "\n" } = {}) {
      const script = ["sh", join(import.meta.dirname, "root.sh"), base, folder, srv];
      const [program = "", ...args] = [...inside, ...script, ...words];
      const { exitCode, all } = await execa(program, args, {
        all: true,
        reject: false,
        input,
        timeout: 120_000,
        extendEnv: false,
        env: {
          PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
          HOME: "/root",
          LC_ALL: "C",
          DEBIAN_FRONTEND: "noninteractive",
        },
      });
      return { exitCode, all };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
