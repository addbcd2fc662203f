/** GitHub's runner takes commands from what a step prints: `::name::` at a line's begin, `##[name]` anywhere. */
const isOnGitHub = process.env.GITHUB_ACTIONS === "true";

/**
 * Text that a host, a container or an sshd chose, as it may be shown: what would steer a terminal is
 * escaped, as in `\u001b[2J`, and what would steer GitHub's runner broken; lines and tabs stay. Pure.
 */
export function printable(text: string, { onGitHub = isOnGitHub } = {}): string {
  const escaped = text.replaceAll(
    /(?![\n\t])\p{Cc}/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return onGitHub ? escaped.replaceAll(/(^\s*:)(?=:)|##(?=\[)/gm, "$&\u200b") : escaped;
}
