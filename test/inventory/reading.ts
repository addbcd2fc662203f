import { parseDocuments } from "../../controller/inventory/documents.ts";
import { formatPlace } from "../../controller/inventory/mistakes.ts";
import { type Explained, resolve } from "../../controller/inventory/resolve.ts";

/** What a file comes to, and its mistakes a line each, without a file on disk. */
export function read(
  text: string,
  { environment = {}, file = "fleet.yaml" }: { environment?: Record<string, string>; file?: string } = {},
): Explained & { mistakes: string[] } {
  const mistakes: string[] = [];
  const report = (place: { file: string; line: number; column: number }, message: string, hint?: string) => {
    mistakes.push(`${formatPlace(place)}: ${message}${hint === undefined ? "" : ` · ${hint}`}`);
  };
  const documents = parseDocuments(text, { file, path: `/srv/shop/${file}`, environment, report });
  return { ...resolve(documents, { home: "/home/me", report }), mistakes };
}

/** An inventory document with these lines under `hosts:` and, where given, more words. */
export function inventory(hosts: string, more = ""): string {
  return `apiVersion: nexcage/v1\nkind: Inventory\n${more}hosts:\n${indent(hosts)}\n`;
}

/** A fleet document with these lines under `containers:`. */
export function fleet(containers: string, more = ""): string {
  return `---\napiVersion: nexcage/v1\nkind: Fleet\nname: shop\n${more}containers:\n${indent(containers)}\n`;
}

function indent(lines: string): string {
  return lines.replace(/^/gm, "  ");
}
