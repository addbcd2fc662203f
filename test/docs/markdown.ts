/** A fenced block of a page, by its language, with the number of the line where its code begins. */
export type CodeBlock = { language: string; code: string; line: number };

/** The fenced blocks of a Markdown page, in their order. */
export function codeBlocks(text: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let open: CodeBlock | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    const fence = /^```(\S*)$/.exec(line);
    if (fence === null) {
      if (open !== undefined) open.code += `${line}\n`;
    } else if (open === undefined) open = { language: fence[1] ?? "", code: "", line: index + 2 };
    else {
      blocks.push(open);
      open = undefined;
    }
  }
  return blocks;
}
