import type { ExecOptions, ExecResult, TestHost } from "../hosts/host.ts";
import { type Names, normalise, type Step } from "./transcript.ts";

export type StepOptions = ExecOptions & {
  /** The exit code that crun's client has; default 0. */
  exits?: number;
  /** What stands in the record for what was printed, where that is not the same twice or too long. */
  shows?: (result: ExecResult) => string;
};

/** Writes down what a client does on one host. */
export class Recorder {
  readonly steps: Step[] = [];
  /** What was not as the case says; on crun's side the case itself is wrong then. */
  readonly surprises: string[] = [];
  readonly host: TestHost;
  readonly #names: Names;

  constructor(host: TestHost, names: Names) {
    this.host = host;
    this.#names = names;
  }

  /** Runs a program on the host, and records how it ended and what it printed. */
  async run(
    words: string[],
    { exits = 0, shows, ...options }: StepOptions = {},
    said = words,
  ): Promise<ExecResult> {
    const result = await this.host.exec(words, options);
    const code = result.exitCode ?? "a time-out or a signal";
    const command = normalise(said.join(" "), this.#names);
    if (result.exitCode !== exits)
      this.surprises.push(`${command}: exit ${code}, not ${exits}: ${result.stderr}`);
    const printed =
      shows === undefined
        ? [...this.#lines("out: ", result.stdout), ...this.#lines("err: ", result.stderr)]
        : this.#lines("", shows(result));
    this.steps.push({ command, seen: [`exit ${code}`, ...printed] });
    return result;
  }

  /** Records what a case has found out by itself. */
  see(what: string, value: unknown): void {
    const text = typeof value === "string" ? value : (JSON.stringify(value, undefined, 1) ?? "undefined");
    this.steps.push({ command: `look at ${what}`, seen: this.#lines("", text) });
  }

  /** Records what must be so on both sides. */
  expect(what: string, isSo: boolean): void {
    this.steps.push({ command: `expect that ${what}`, seen: [String(isSo)] });
    if (!isSo) this.surprises.push(`not so: ${what}`);
  }

  #lines(prefix: string, text: string): string[] {
    return normalise(text, this.#names)
      .split("\n")
      .filter((line) => line.trim() !== "")
      .map((line) => `${prefix}${line}`);
  }
}
