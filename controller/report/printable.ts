/**
 * Text that a host, a container or an sshd chose, as it may be shown: what would steer a terminal is
 * escaped, as in `\u001b[2J`; lines and tabs stay. Pure.
 */
export function printable(text: string): string {
  return text.replaceAll(
    /(?![\n\t])\p{Cc}/gu,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
