import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";

const root = join(import.meta.dirname, "../..");

const ours = `NexCage
Copyright The NexCage authors
Apache-2.0: see /usr/share/common-licenses/Apache-2.0
`;

/** What `/usr/share/doc/PACKAGE/copyright` says: our licence, then that of each thing inside. */
export function copyrightOf(parts: { npm?: boolean; native?: boolean; node?: boolean }): string {
  return [
    ours,
    ...(parts.native ? [readFileSync(join(import.meta.dirname, "native-licences"), "utf8")] : []),
    ...(parts.npm ? npmLicences() : []),
    ...(parts.node ? [nodeLicence()] : []),
  ].join(`\n${"-".repeat(78)}\n\n`);
}

function nodeLicence(): string {
  const text = readFileSync(join(root, `node_modules/node-linux-${process.arch}/LICENSE`), "utf8");
  return `Node.js ${process.versions.node}, and what it is made of\n\n${text}`;
}

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), dev: z.boolean().optional(), license: z.string().optional() }),
  ),
});

/** Of all npm packages that a program may have in it. Those for other platforms are not there. */
function npmLicences(): string[] {
  const lock = Lock.parse(JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")));
  return Object.entries(lock.packages).flatMap(([folder, { version, dev, license }]) => {
    const name = folder.replace(/^.*node_modules\//, "");
    if (folder === "" || dev === true || name.startsWith("node-linux-")) return [];
    const text = licenceIn(join(root, folder));
    if (text === undefined) return [];
    const terms = license === "Apache-2.0" ? "Apache-2.0: see /usr/share/common-licenses/Apache-2.0\n" : text;
    return [`${name} ${version}\n\n${terms}`];
  });
}

function licenceIn(folder: string): string | undefined {
  try {
    const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
    return file && readFileSync(join(folder, file), "utf8");
  } catch {
    return undefined; // not for this platform
  }
}
