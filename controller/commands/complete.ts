import type { Explained } from "../inventory/resolve.ts";
import { command } from "./command.ts";
import type { KnownNames } from "./known-names.ts";
import { fileOption } from "./options.ts";

const kinds = ["hosts", "groups", "wanted", "containers"] as const;

/**
 * For the completion scripts, at each Tab: so it asks no host, and says nothing of a mistake in the files. While they
 * have one, the names are those of the last look at the hosts.
 */
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
    const { namesFile, readKnownNames } = await import("./known-names.ts");
    const resolved = await loadFiles(argv).catch(() => undefined);
    const known = await readKnownNames(namesFile(argv));
    const names = new Set(argv.kinds.flatMap((kind) => namesOf(kind, resolved, known)));
    process.stdout.write([...names].map((name) => `${name}\n`).join(""));
    return 0;
  },
});

function namesOf(kind: (typeof kinds)[number], files: Explained | undefined, known: KnownNames): string[] {
  if (files === undefined) {
    if (kind === "groups") return [];
    return kind === "hosts" ? [...known.hosts.keys()] : [...known.hosts.values()].flat();
  }
  const { hosts, fleet } = files;
  if (kind === "hosts") return hosts.map(({ name }) => name);
  if (kind === "groups") return ["all", ...hosts.flatMap(({ groups }) => groups)];
  const wanted = (fleet?.wanted ?? []).flatMap(({ id, name }) => [name, id]);
  if (kind === "wanted" || known.fleet !== fleet?.name) return wanted;
  return [...wanted, ...hosts.flatMap(({ name }) => known.hosts.get(name) ?? [])];
}
