/** A table; what stands in its cells is Markdown. */
export function tableOf(head: string[], rows: string[][]): string {
  const line = (cells: string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}

export const code = (text: string): string => `\`${text}\``;

/** Text that is no Markdown. */
export const plain = (text: string): string => text.replaceAll(/[*<]/g, "\\$&");
