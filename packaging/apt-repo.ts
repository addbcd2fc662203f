/*
 * Makes of the packages in a folder a signed APT repository, in that folder: apt-repo.ts DIR [--key KEY] [--uri URI]
 *
 * KEY is one of gpg's own keyring, by its fingerprint. Without one a key is made and thrown away, for a try: such a
 * repository cannot be signed again. Prints what users write into a file of /etc/apt/sources.list.d.
 */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { fail } from "./debian/fail.ts";
import { gzip } from "./debian/package.ts";

/** The public key, beside the packages; and where users put it. */
const keyring = "nexcage.gpg";
const usersKeyring = `/etc/apt/keyrings/${keyring}`;

async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { key: { type: "string" }, uri: { type: "string" } },
  });
  const [given] = positionals;
  if (given === undefined || positionals.length > 1)
    throw new Error("usage: apt-repo.ts DIR [--key KEY] [--uri URI]");
  const folder = resolve(given);
  if (!(await readdir(folder)).some((name) => name.endsWith(".deb")))
    throw new Error(`${folder} holds no packages`);
  await writeIndex(folder);
  if (values.key === undefined) await signWithNewKey(folder);
  else await sign(folder, { key: values.key });
  process.stdout.write(sources(values.uri ?? `file:${folder}`));
}

/** A flat repository: all in one folder, whatever the architecture. */
async function writeIndex(folder: string): Promise<void> {
  const ftparchive = async (...args: string[]): Promise<string> => {
    const { stdout } = await execa("apt-ftparchive", args, { cwd: folder, stripFinalNewline: false });
    return stdout;
  };
  const packages = await ftparchive("packages", ".");
  await writeFile(join(folder, "Packages"), packages);
  await writeFile(join(folder, "Packages.gz"), gzip(packages));
  for (const name of ["Release", "InRelease"]) await rm(join(folder, name), { force: true });
  const field = (name: string): string[] => ["-o", `APT::FTPArchive::Release::${name}=NexCage`];
  await writeFile(
    join(folder, "Release"),
    await ftparchive(...field("Origin"), ...field("Label"), "release", "."),
  );
}

async function signWithNewKey(folder: string): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), "nexcage-gpg-"));
  const gpg = { env: { GNUPGHOME: home } };
  try {
    const name = "NexCage, thrown away";
    const make = [
      "--batch",
      "--quiet",
      "--passphrase",
      "",
      "--quick-generate-key",
      name,
      "ed25519",
      "sign",
      "1y",
    ];
    await execa("gpg", make, gpg);
    await sign(folder, { key: `=${name}`, home });
  } finally {
    await execa("gpgconf", ["--kill", "all"], gpg);
    await rm(home, { recursive: true });
  }
}

/** @param options.home gpg's folder; else that of who calls */
async function sign(folder: string, { key, home }: { key: string; home?: string }): Promise<void> {
  const gpg = (...args: string[]) =>
    execa("gpg", ["--batch", "--yes", "--quiet", ...args], {
      cwd: folder,
      env: home === undefined ? {} : { GNUPGHOME: home },
    });
  await gpg("--local-user", key, "--output", "InRelease", "--clearsign", "Release");
  await gpg("--output", keyring, "--export", key);
}

/** deb822, as in sources.list(5). */
function sources(uri: string): string {
  return `Types: deb\nURIs: ${uri}\nSuites: ./\nSigned-By: ${usersKeyring}\n`;
}

await main().catch((error: unknown) => fail("apt-repo", error));
