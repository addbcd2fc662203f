/**
 * How a call of pct ends badly. The exit code is what was recorded for that text; on a real host it is the
 * errno that lay around (the recorded facts, "How pct ends"), so nobody may read anything into it.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: number;

  constructor(message: string, { exitCode = 255 }: { exitCode?: number } = {}) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** `400 Parameter verification failed.`, a line per field, and the usage of the command. */
export class ParameterFailure extends Failure {
  readonly fields: Record<string, string>;

  constructor(fields: Record<string, string>, { exitCode = 2 }: { exitCode?: number } = {}) {
    const lines = Object.keys(fields)
      .sort()
      .map((name) => `${name}: ${fields[name]}`);
    super(["400 Parameter verification failed.", ...lines].join("\n"), { exitCode });
    this.fields = fields;
  }
}

/** What was said of a thing that a signal cut short: TERM reached the worker. */
export class Interrupted extends Failure {
  constructor(what?: string) {
    super(what === undefined ? "received interrupt" : `${what} failed: received interrupt`);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
