import * as z from "zod";
import type { NexcageError } from "../../shared/errors.ts";
import type { Place } from "../inventory/model.ts";
import { keyOf } from "../plan/model.ts";
import type { Run } from "./run.ts";

/** What is said at a place in the user's files. */
type Annotation = {
  level: "error" | "warning" | "notice";
  place: Place | undefined;
  title: string;
  text: string;
};

const Mistakes = z.array(
  z.object({
    file: z.string(),
    line: z.number(),
    column: z.number(),
    message: z.string(),
    hint: z.string().optional(),
  }),
);

/** What went wrong in a run, each at the line of the YAML that wanted it. Pure. */
export function runAnnotations({ plan, changes, unreachable }: Run): string {
  const failed = changes.flatMap((outcome): Annotation[] =>
    outcome.kind === "failed"
      ? [
          {
            level: "error",
            place: outcome.change.place,
            title: `${keyOf(outcome.change)} failed`,
            text: withHint(outcome.error),
          },
        ]
      : [],
  );
  const refused = plan.refused.map((one): Annotation => {
    return { level: "error", place: one.place, title: `${keyOf(one)} is refused`, text: one.reason };
  });
  const hosts = [...unreachable].map(([host, error]): Annotation => {
    return { level: "error", place: undefined, title: `${host} was not reached`, text: withHint(error) };
  });
  return [...refused, ...failed, ...hosts].map(workflowCommand).join("");
}

/** An error that ends a command; of mistakes in files each one at its place. Pure. */
export function errorAnnotations(error: NexcageError): string {
  const mistakes = Mistakes.safeParse(error.details?.mistakes);
  if (!mistakes.success || mistakes.data.length === 0)
    return workflowCommand({ level: "error", place: undefined, title: error.code, text: withHint(error) });
  return mistakes.data
    .map(({ message, hint, ...place }) => {
      const text = hint === undefined ? message : `${message}\n${hint}`;
      return workflowCommand({ level: "error", place, title: error.code, text });
    })
    .join("");
}

function withHint({ message, hint }: NexcageError): string {
  return hint === undefined ? message : `${message}\n${hint}`;
}

/** A line that GitHub's runner reads from a step's output ("Workflow commands for GitHub Actions"). */
function workflowCommand({ level, place, title, text }: Annotation): string {
  const at =
    place === undefined ? {} : { file: place.file, line: String(place.line), col: String(place.column) };
  const properties = Object.entries({ ...at, title })
    .map(([name, value]) => `${name}=${escapeData(value).replaceAll(":", "%3A").replaceAll(",", "%2C")}`)
    .join(",");
  return `::${level} ${properties}::${escapeData(text)}\n`;
}

function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}
