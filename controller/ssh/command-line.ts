import { NexcageError } from "../../shared/errors.ts";

/**
 * Words as the one line that a remote login shell gets. SSH knows no words: `sh -c` and its relatives take
 * this line apart again, so each word that is not plain is quoted.
 * @throws {NexcageError} `USAGE` where a word is empty or holds a control character
 */
export function commandLine(words: readonly string[]): string {
  return words.map(quote).join(" ");
}

function quote(word: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
  if (word === "" || /[\u0000-\u001f\u007f]/.test(word))
    throw new NexcageError("USAGE", `${JSON.stringify(word)} cannot be a word of a remote command`, {
      hint: "write a path without control characters",
    });
  if (/^[A-Za-z0-9_./:=@%+,-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
