/** A fenced block of a page, by its language, with the number of the line where its code begins. */
export type CodeBlock = {
  language: string;
  code: string;
  line: number;
  /** The comment on the line before it, which no reader sees. */
  note: string | undefined;
};

/** The fenced blocks of a Markdown page, in their order. */
export function codeBlocks(text: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: CodeBlock | undefined;
  let note: string | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^```(\S*)$/.exec(line);
    if (fence === null) {
      if (open !== undefined) open.code += `${line}\n`;
      else note = /^<!-- (.+) -->$/.exec(line)?.[1];
    } else if (open === undefined) open = { language: fence[1] ?? "", code: "", line: index + 2, note };
    else {
      blocks.push(open);
      open = undefined;
      note = undefined;
    }
  }
  return blocks;
}

export type Commands = Pick<CodeBlock, "code" | "line"> & {
  /** Where they are typed; none for one's own machine. */
  host: string | undefined;
};

/**
 * The commands of a page that can be run here, block by block. The comment before a block says of one for a host
 * `on HOST`, and of one that no test can run `not run: REASON`.
 * @throws where it says anything else
 */
export function commandsOf(text: string): Commands[] {
  return codeBlocks(text).flatMap(({ language, code, line, note }): Commands[] => {
    if (language !== "sh" || note?.startsWith("not run: ")) return [];
    const host = note === undefined ? undefined : /^on (\w+)$/.exec(note)?.[1];
    if (note !== undefined && host === undefined) throw new Error(`line ${line}: what is "${note}"?`);
    return [{ code, line, host }];
  });
}
