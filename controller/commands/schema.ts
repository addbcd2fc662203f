import { command } from "./command.ts";

export const schema = command({
  command: "schema <kind>",
  describe: "Print the JSON Schema of the files, for editors",
  builder: (yargs) =>
    yargs.positional("kind", {
      choices: ["inventory", "fleet"] as const,
      demandOption: true,
      describe: "which kind of document",
    }),
  async handler({ kind }) {
    const { jsonSchemaText } = await import("../inventory/json-schema.ts");
    process.stdout.write(jsonSchemaText(kind));
    return 0;
  },
});
