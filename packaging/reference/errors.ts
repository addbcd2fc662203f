import { agentExitCode } from "../../agent/commands/report-error.ts";
import { errorMeanings } from "../../shared/error-meanings.ts";
import { exitCodes, isErrorCode } from "../../shared/errors.ts";
import { sentence } from "../wording.ts";
import { code, tableOf } from "./markdown.ts";

/** The page of all error codes. */
export function errorsPage(): string {
  const rows = Object.keys(exitCodes)
    .filter(isErrorCode)
    .map((name) => [
      code(name),
      sentence(errorMeanings[name]),
      `${exitCodes[name]}`,
      `${agentExitCode(name)}`,
    ]);
  return `# Error codes

An error is a line on stderr that ends with its code in brackets, and mostly a hint: the next thing to do. With
\`-o json\` it is an object with \`code\`, \`message\` and, where there are some, \`hint\` and \`details\`: as \`error\` on
stdout from \`nexcage\`, by itself on stderr from \`nexcage-agent\`. The last columns are their exit statuses. A command
over several containers or hosts that ended in different ways ends with 3 or 1.

${tableOf(["code", "meaning", "`nexcage`", "`nexcage-agent`"], rows)}
`;
}
