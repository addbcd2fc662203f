// What a client did with a runtime, as lines that do not depend on chance, and how two of them differ.

/** A command of the client, and what one saw of it. */
export type Step = { command: string; seen: string[] };

export type Difference = {
  /** Of which command. */
  command: string;
  /** Lines that only crun's transcript has. */
  crun: string[];
  /** Lines that only the other one has. */
  ours: string[];
};

/** Texts of a host that are others on the next, and the word that stands for each. */
export type Names = [text: string, word: string][];

/** Takes out of a text what is another each time: ids, times, pids, durations, and the host's own names. */
export function normalise(text: string, names: Names): string {
  const own = names.reduce((rest, [name, word]) => rest.replaceAll(name, word), text);
  return own
    .replace(/\r\n/g, "\n")
    .replace(/\b[0-9a-f]{64}\b/g, "ID")
    .replace(/\b[0-9a-f]{12}\b/g, "ID")
    .replace(
      /\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|[+-]\d\d:?\d\d)( UTC)?)?( m=[+-][\d.]+)?/g,
      "TIME",
    )
    .replace(/\bpid:? ?\d+/gi, "pid PID")
    .replace(/(?:Less than a second|\d+ seconds?) ago/g, "DURATION ago")
    .replace(/MAINPID=\d+/g, "MAINPID=PID")
    .replace(/(conmon-term\.|runc-process|\/pty|podman)[A-Za-z0-9]*\d[A-Za-z0-9]*/g, "$1N");
}

export function compare(crun: Step[], ours: Step[]): Difference[] {
  const commands = Math.max(crun.length, ours.length);
  return Array.from({ length: commands }, (_, index): Difference => {
    const [left, right] = [crun[index], ours[index]];
    const command = left?.command ?? right?.command ?? "";
    if (left?.command === right?.command) return { command, ...unlike(left?.seen ?? [], right?.seen ?? []) };
    return { command, crun: lines(left), ours: lines(right) };
  }).filter(({ crun, ours }) => crun.length + ours.length > 0);
}

export function render(steps: Step[]): string {
  return steps
    .map(({ command, seen }) => [`$ ${command}`, ...seen.map((line) => `  ${line}`)].join("\n"))
    .join("\n");
}

export function renderDifference({ command, crun, ours }: Difference): string {
  return [
    `$ ${command}`,
    ...crun.map((line) => `  crun  ${line}`),
    ...ours.map((line) => `  ours  ${line}`),
  ].join("\n");
}

function lines(step: Step | undefined): string[] {
  return step === undefined ? [] : [step.command, ...step.seen];
}

/** The lines that are not common to both, by their longest common subsequence. */
function unlike(left: string[], right: string[]): { crun: string[]; ours: string[] } {
  const common: number[][] = Array.from({ length: left.length + 1 }, () => Array(right.length + 1).fill(0));
  const at = (row: number, column: number): number => common[row]?.[column] ?? 0;
  for (let row = left.length - 1; row >= 0; row--)
    for (let column = right.length - 1; column >= 0; column--)
      (common[row] ?? [])[column] =
        left[row] === right[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
  const crun: string[] = [];
  const ours: string[] = [];
  let [row, column] = [0, 0];
  while (row < left.length || column < right.length) {
    const [first, second] = [left[row], right[column]];
    if (first !== undefined && first === second) {
      row++;
      column++;
    } else if (second === undefined || (first !== undefined && at(row + 1, column) >= at(row, column + 1))) {
      crun.push(first ?? "");
      row++;
    } else {
      ours.push(second);
      column++;
    }
  }
  return { crun, ours };
}
