import { exitAtOnce } from "../shared/exit.ts";
import { version } from "../shared/version.ts";

/** Parses the command line, nothing else. What is thrown becomes one line, its hint, and an exit status. */
async function main(words: string[]): Promise<number> {
  if (words.length === 1 && (words[0] === "--version" || words[0] === "version")) {
    process.stdout.write(`nexcage ${version}\n`);
    return 0;
  }
  try {
    const { runCommandLine } = await import("./commands/command-line.ts");
    return await runCommandLine(words);
  } catch (thrown) {
    const { printError } = await import("./commands/print.ts");
    return printError(thrown, { json: wantsJson(words) });
  }
}

function wantsJson(words: string[]): boolean {
  const own = words.slice(0, words.includes("--") ? words.indexOf("--") : undefined);
  return own.some(
    (word, index) =>
      word === "-ojson" ||
      word === "--output=json" ||
      (word === "json" && ["-o", "--output"].includes(own[index - 1] ?? "")),
  );
}

// `| head` has seen enough: that must not end an apply in its middle. What only shows ends by itself.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
main(process.argv.slice(2)).then(exitAtOnce, (error: unknown) => {
  throw error; // not even printing it worked
});
