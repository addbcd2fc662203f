import type { Writable } from "node:stream";
import { styleText } from "node:util";
import type { LogLine, Observed } from "../shared/container.ts";
import type { HostAgent } from "./fleet.ts";

export type LogSource = { host: string; container: Observed; agent: HostAgent };

export type FollowOptions = {
  tail?: number | undefined;
  since?: string | undefined;
  follow: boolean;
  timestamps: boolean;
  json: boolean;
  color: boolean;
  out: Writable;
  err: Writable;
  signal: AbortSignal;
};

const colors = ["cyan", "yellow", "green", "magenta", "blue"] as const;

/**
 * Writes what containers wrote, their stdout to `out` and their stderr to `err`; where there are several,
 * each line begins with its container's name. With `follow` until all have ended or the signal comes.
 */
export async function followLogs(sources: LogSource[], options: FollowOptions): Promise<void> {
  const { tail, since, follow, json, out } = options;
  const unread = new AbortController();
  out.once("close", () => unread.abort()); // `| head` has seen enough
  const signal = AbortSignal.any([options.signal, unread.signal]);
  const several = sources.length > 1;
  const ids = sources.map(({ container }) => container.id);
  const label = ({ host, container }: LogSource): string =>
    ids.indexOf(container.id) === ids.lastIndexOf(container.id) ? container.id : `${container.id}@${host}`;
  const width = Math.max(...sources.map((source) => label(source).length), 0);

  const results = await Promise.allSettled(
    sources.map((source, index) => {
      const name = label(source).padEnd(width);
      const color = colors[index % colors.length] ?? "cyan";
      const painted = options.color ? styleText(color, name, { validateStream: false }) : name;
      const prefix = several ? `${painted} | ` : "";
      return source.agent.stream(
        "container/logs",
        {
          id: source.container.id,
          follow,
          ...(tail !== undefined && { tail }),
          ...(since !== undefined && { since }),
        },
        {
          signal,
          sink: {
            onLines: (lines) =>
              json ? writeJson(lines, source, out) : writeLines(lines, { ...options, prefix }),
          },
        },
      );
    }),
  );
  if (signal.aborted) return; // Ctrl-C is how following ends
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function writeLines(
  lines: LogLine[],
  { prefix, timestamps, out, err }: FollowOptions & { prefix: string },
): Promise<void> {
  for (const stream of ["stdout", "stderr"] as const) {
    const text = lines
      .filter((line) => line.stream === stream)
      .map((line) => `${prefix}${timestamps ? `${line.time} ` : ""}${line.text}${line.partial ? "" : "\n"}`)
      .join("");
    if (text !== "") await write(stream === "stdout" ? out : err, text);
  }
}

async function writeJson(lines: LogLine[], { host, container }: LogSource, out: Writable): Promise<void> {
  const text = lines.map((line) => `${JSON.stringify({ host, id: container.id, ...line })}\n`).join("");
  await write(out, text);
}

/** Resolves once the stream takes more. */
export async function write(to: Writable, data: string | Buffer): Promise<void> {
  if (to.write(data) || to.destroyed) return;
  await new Promise<void>((resolve) => to.once("drain", resolve).once("close", resolve));
}
