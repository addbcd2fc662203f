import { quoteForMessage } from "../../shared/ids.ts";

/*
 * The two ways in which a value can be filled in: `${NAME}` from the environment, once, while the file
 * is read, and `{{ name }}` from the variables of the host that a container is placed on. Text only:
 * nothing is ever run.
 */

/** What was wrong with a reference in a text. */
type Problem = { message: string; hint: string };

export type Filled = { text: string; problems: Problem[] };

export const hasEnvironmentReference = (text: string): boolean => text.includes("${");
export const hasVariable = (text: string): boolean => text.includes("{{");

/** `${NAME}` and `${NAME:-default}`; `$${` stands for `${` itself, and a `$` alone for itself. Pure. */
export function fillEnvironment(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): Filled {
  const problems: Problem[] = [];
  const filled = text.replace(/\$\$\{|\$\{([^}]*)(\}?)/g, (whole: string, body?: string, end?: string) => {
    if (body === undefined) return "${";
    const [, name, fallback] = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(body) ?? [];
    if (name === undefined || end === "") {
      problems.push({
        message: `${quoteForMessage(whole)} is not a reference to the environment`,
        hint: `write \${NAME} or \${NAME:-default}, and $\${ for these two signs themselves`,
      });
      return whole;
    }
    const value = environment[name];
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value === undefined)
      problems.push({
        message: `the environment has no ${name}`,
        hint: `set it, or give a default: \${${name}:-…}`,
      });
    return value ?? "";
  });
  return { text: filled, problems };
}

/** `{{ name }}`; `{{{{` stands for `{{` itself. Pure. */
export function fillVariables(text: string, lookup: (name: string) => string | undefined): Filled {
  const problems: Problem[] = [];
  const filled = text.replace(
    /\{\{\{\{|\{\{(?:\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*\}\})?/g,
    (whole: string, name?: string) => {
      if (whole === "{{{{") return "{{";
      if (name === undefined) {
        problems.push({
          message: `${quoteForMessage(text)} has a "{{" that is not followed by a name and "}}"`,
          hint: "write {{ name }}, and {{{{ for these two signs themselves",
        });
        return whole;
      }
      return lookup(name) ?? "";
    },
  );
  return { text: filled, problems };
}
