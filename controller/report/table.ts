import { getBorderCharacters, table } from "table";

/** Rows under a head, in columns two spaces apart, without lines: right with wide characters too. */
export function textTable(head: string[], rows: string[][]): string {
  if (rows.length === 0) return "";
  const text = table([head, ...rows], {
    border: getBorderCharacters("void"),
    columnDefault: { paddingLeft: 0, paddingRight: 2 },
    drawHorizontalLine: () => false,
  });
  return text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
