import type { Explained } from "../inventory/resolve.ts";
import { command } from "./command.ts";
import { fileOption } from "./options.ts";

const kinds = ["hosts", "groups", "containers"] as const;

/** For the completion scripts, at each Tab: so it asks no host, and says nothing where the files have a mistake. */
export const complete = command({
  command: "complete <kinds..>",
  describe: false,
  builder: (yargs) =>
    fileOption(yargs).positional("kinds", {
      choices: kinds,
      array: true,
      demandOption: true,
      describe: "the names of what",
    }),
  async handler(argv) {
    const { loadFiles } = await import("./load-files.ts");
    const resolved = await loadFiles(argv).catch(() => undefined);
    if (resolved === undefined) return 0;
    const names = new Set(argv.kinds.flatMap((kind) => namesOf(kind, resolved)));
    process.stdout.write([...names].map((name) => `${name}\n`).join(""));
    return 0;
  },
});

function namesOf(kind: (typeof kinds)[number], { hosts, fleet }: Explained): string[] {
  if (kind === "hosts") return hosts.map(({ name }) => name);
  if (kind === "groups") return ["all", ...hosts.flatMap(({ groups }) => groups)];
  return (fleet?.wanted ?? []).flatMap(({ id, name }) => [name, id]);
}
