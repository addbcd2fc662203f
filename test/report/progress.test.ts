import { join } from "node:path";
import test from "ava";
import { execa } from "execa";

const progressModule = join(import.meta.dirname, "../../controller/report/progress.ts");

const program = `
  import { openProgress } from ${JSON.stringify(progressModule)};
  using progress = openProgress(process.stderr, { quiet: false, verbose: true, format: "text" });
  progress.emit({ kind: "host.connecting", host: "pve1" });
  progress.pause();
  process.stderr.write("Go on?");
`;

test("where a question or an exec follows the live view, the terminal has its cursor", async (t) => {
  const command = [process.execPath, "--input-type=module", "--eval", '"$PROGRAM"'].join(" ");
  const { stdout } = await execa("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
    env: { PROGRAM: program, TERM: "xterm", SHELL: "/bin/sh" },
    stdin: "ignore",
  });
  const [before = "", after] = stdout.split("Go on?");
  t.regex(before, /pve1: connecting/);
  t.not(after, undefined);
  t.is(/.*\[\?25([hl])/s.exec(before)?.[1] ?? "h", "h");
});
