import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { ExecutionContext } from "ava";
import { execa } from "execa";
import { dist } from "../dist.ts";
import type { Bed } from "../e2e/bed.ts";
import { type Commands, commandsOf } from "./markdown.ts";

export const docs = join(import.meta.dirname, "../../docs");

/** The pages whose commands are run: here, and those of packages and releases where these are made. */
export const pastedPages = [
  ...[
    "bootstrap.md",
    "ci.md",
    "from-0.7.md",
    "how-to.md",
    "oci-runtime.md",
    "packages.md",
    "proxmox.md",
    "tutorial.md",
  ],
  "verify.md",
];

/**
 * The commands of a page, with this test's own in place of what it names.
 * @throws where it does not name that any more
 */
export async function readCommands(page: string, own: Record<string, string> = {}): Promise<Commands[]> {
  let text = await readFile(join(docs, page), "utf8");
  for (const [theirs, ours] of Object.entries(own)) {
    if (!text.includes(theirs)) throw new Error(`${page} does not have ${theirs}`);
    text = text.replaceAll(theirs, ours);
  }
  return commandsOf(text);
}

/** Pastes all commands of a page, block by block, each of which must succeed; gives what they said. */
export async function pastePage(
  t: ExecutionContext,
  bed: Bed,
  { page, folder = bed.folder, own = {} }: { page: string; folder?: string; own?: Record<string, string> },
): Promise<string> {
  await writeFile(join(bed.folder, "cwd"), folder);
  let said = "";
  for (const { code, line, host } of await readCommands(page, own)) {
    const { exitCode, output } =
      host === undefined ? await paste(bed, code) : await pasteOn(bed, { host, commands: code });
    t.is(exitCode, 0, `${page}:${line}:\n${code}\n${output}`);
    said += output;
  }
  return said;
}

type Said = { exitCode: number | undefined; output: string };

/** Pastes commands at a terminal, and says yes to what is asked. */
async function paste(bed: Bed, commands: string): Promise<Said> {
  const script = join(bed.folder, "pasted.sh");
  await writeFile(script, `cd "$(cat '${bed.folder}/cwd')"\nset -e\n${commands}\npwd >'${bed.folder}/cwd'\n`);
  const child = execa("script", ["-qec", `bash ${script}`, "/dev/null"], {
    env: {
      PATH: `${dist}:${process.env.PATH}`,
      HOME: join(bed.folder, "home"),
      XDG_CACHE_HOME: join(bed.folder, "cache"),
      TERM: "xterm",
    },
    extendEnv: false,
    stdin: "pipe",
    reject: false,
  });
  child.stdout.on("data", (text: Buffer) => {
    if (text.includes("[y/N]")) child.stdin.write("y\n");
  });
  const { exitCode, stdout } = await child;
  return { exitCode, output: stripVTControlCharacters(stdout).replaceAll("\r", "") };
}

/** The same on a host, whose agent is this build's. */
async function pasteOn(bed: Bed, { host, commands }: { host: string; commands: string }): Promise<Said> {
  const script = `PATH=${dist}:$PATH\nset -e\n${commands}`;
  const { exitCode, stdout, stderr } = await bed.host(host).exec(["bash", "-c", script]);
  return { exitCode, output: `${stdout}\n${stderr}` };
}
