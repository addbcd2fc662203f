/* A small writer of manual pages in the macros of man(7), which both man-db and mandoc read. */

export type ManPage = {
  name: string;
  /** In one line. */
  summary: string;
  /** The day that it is of, `YYYY-MM-DD`. */
  date: string;
  source: string;
  sections: ManSection[];
};

/** `lines` are made by {@link paragraph}, {@link item}, {@link heading} and {@link synopsis}. */
export type ManSection = { title: string; lines: string[] };

export function manPage({ name, summary, date, source, sections }: ManPage): string {
  const lines = [
    `.TH ${text(name.toUpperCase())} 1 ${date} "${text(source)}" "NexCage manual"`,
    ".SH NAME",
    `${text(name)} \\- ${text(summary)}`,
    ...sections
      .filter((section) => section.lines.length > 0)
      .flatMap((section) => [`.SH ${section.title}`, ...section.lines]),
  ];
  return `${lines
    .filter((line, index) => line !== ".PP" || !/^\.S[HS]/.test(lines[index - 1] ?? ""))
    .flatMap((line, index, kept) => (line.startsWith(".") || kept[index - 1] === ".TP" ? line : wrap(line)))
    .join("\n")}\n`;
}

/** Lines of at most 80 bytes, as mandoc wants them. */
function wrap(line: string): string[] {
  const lines = line.match(/.{1,78}(?: |$)|\S+(?: |$)/g) ?? [];
  return lines.map((part) => part.trimEnd()).map((part) => (part.startsWith(".") ? `\\&${part}` : part));
}

export const paragraph = (words: string): string[] => [".PP", text(words)];

export const heading = (words: string): string[] => [`.SS "${text(words)}"`];

/** A term and what it means, the term in bold up to its `value`. */
export const item = ({
  term,
  value = "",
  says,
}: {
  term: string;
  value?: string;
  says: string;
}): string[] => [".TP", `${bold(term)}${value === "" ? "" : italic(value)}`, text(says) || "\\&"];

/** A command line: what is typed as it stands, then what is put in. */
export const synopsis = (command: string, rest: string): string => `${bold(command)} ${italic(rest)}`.trim();

const bold = (words: string): string => `\\fB${text(words)}\\fR`;

/** In italics but for the brackets and dots around it. */
const italic = (words: string): string =>
  words.replaceAll(/[\w-]+|[^\w-]+/g, (part) => (/^[\w-]/.test(part) ? `\\fI${text(part)}\\fR` : text(part)));

/** So that every character is itself: what is copied from a page can be typed. */
function text(words: string): string {
  const escaped = words
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll('"', "\\(dq")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("`", "\\(ga")
    .replaceAll(
      /[^\0-~]/gu,
      (letter) => `\\[u${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
    );
  return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
}
