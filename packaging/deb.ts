/*
 * Builds Debian packages of `dist/`: deb.ts [--dist DIR] [--out DIR] [--revision R] [--release]
 *
 * `nexcage-agent` is for hosts, `nexcage` for workstations, and both run on `nexcage-node`: two packages cannot own one
 * file, and Node alone is most of them. It has the version of Node, so that a new agent does not bring it again.
 *
 * There is no systemd unit. The agent is no daemon: sshd starts it for whoever connects. At boot it has nothing to do:
 * it makes its folders in /run anew when it is started, containers of Proxmox's are started by Proxmox (`onboot`), and
 * others only by `apply` or by hand, since restart policies are refused in this version.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { findBuilds } from "../controller/bootstrap/agent-build.ts";
import { version as programsVersion } from "../shared/version.ts";
import { agentFiles, nodeFile, epoch as unchangingEpoch } from "./agent-build.ts";
import { controllerFiles } from "./controller-files.ts";
import { fail } from "./debian/fail.ts";
import { copyrightOf } from "./debian/licences.ts";
import { buildPackage, gzip, type Package, type PackageFile } from "./debian/package.ts";
import { requireSourceEpoch } from "./source-epoch.ts";

const root = join(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    dist: { type: "string", default: join(root, "dist") },
    out: { type: "string" },
    revision: { type: "string", default: "1" }, // Debian's: counts the packages of one version
    release: { type: "boolean", default: false }, // compressed as well as can be, which takes a minute
  },
});
const dist = resolve(values.dist);
const text = (path: string): string => readFileSync(join(root, path), "utf8");

async function main(): Promise<void> {
  process.umask(0o022);
  const { DEBFULLNAME = "NexCage", DEBEMAIL = "nexcage@localhost" } = process.env;
  const options = {
    out: resolve(values.out ?? join(dist, "deb")),
    level: values.release ? 19 : 9,
    maintainer: `${DEBFULLNAME} <${DEBEMAIL}>`,
  };
  const [agent] = await findBuilds(join(dist, `lib/nexcage/agents/linux-${process.arch}`));
  const libc = `libc6 (>= ${agent?.glibc})`;
  const node = nodePackage();
  const needs = {
    version: `${programsVersion}-${values.revision}`,
    libc,
    node: `${node.name} (= ${node.version})`,
  };
  const epoch = requireSourceEpoch();
  console.log(await buildPackage(node, { ...options, epoch: Number(unchangingEpoch) }));
  console.log(await buildPackage(agentPackage(needs), { ...options, epoch }));
  console.log(await buildPackage(controllerPackage(needs), { ...options, epoch }));
}

/** The version of both programs, and what they depend on as deb-control(5) says it. */
type Needs = { version: string; libc: string; node: string };

function nodePackage(): Package {
  const version = execFileSync(join(dist, nodeFile), ["--version"], { encoding: "utf8" }).trim().slice(1);
  return {
    name: "nexcage-node",
    version: `${version}-1`, // one more where what is packaged of the same Node changes
    fields: {
      Depends: "libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 7)", // GLIBC_2.28, CXXABI_1.3.11
      Description: describe(
        "Node.js for NexCage alone",
        "The runtime of nexcage and of nexcage-agent, which is in no path and which no",
        "other program uses. Its version is that of Node.js.",
      ),
    },
    files: [{ path: "usr/lib/nexcage/node", from: join(dist, nodeFile), isProgram: true }],
    overrides: text("packaging/debian/nexcage-node.lintian-overrides"),
    copyright: copyrightOf({ node: true }),
  };
}

function agentPackage({ version, libc, node }: Needs): Package {
  return {
    name: "nexcage-agent",
    version,
    fields: {
      Depends: `${libc}, libgcc-s1, libstdc++6 (>= 7), ${node}`,
      Suggests: "openssh-server, runc",
      Description: describe(
        "runs containers on a host, for nexcage or by hand",
        "Runs OCI containers through libcrun or runc, and those of Proxmox VE through",
        "pct. It is no daemon: nexcage starts it over SSH. Each change is journalled,",
        "and finished after whatever has cut it off.",
      ),
    },
    files: [
      ...[...agentFiles, "lib/nexcage/BUILD"].map(programFile),
      { path: "etc/nexcage/config.yaml", content: text("packaging/debian/config.yaml") },
      ...documents("nexcage-agent"),
      ...shared().filter(({ path }) => isAgents(path)),
    ],
    // Where LXC keeps the consoles of Proxmox's containers: on each node to which one may be migrated it must be there.
    folders: ["var/log/nexcage"],
    conffiles: ["etc/nexcage/config.yaml"],
    postrm: text("packaging/debian/nexcage-agent.postrm"),
    overrides: text("packaging/debian/nexcage-agent.lintian-overrides"),
    copyright: copyrightOf({ npm: true, native: true }),
    changelog: text("CHANGELOG.md"),
  };
}

function controllerPackage({ version, libc, node }: Needs): Package {
  return {
    name: "nexcage",
    version,
    fields: {
      Depends: `${libc}, libgcc-s1, libstdc++6 (>= 7), ${node}`,
      Recommends: "openssh-client",
      Description: describe(
        "containers on a fleet of Proxmox VE hosts, over SSH",
        "Reads YAML files of hosts and of the containers wanted on them, and drives",
        "nexcage-agent on each host until the hosts are as they say. It brings the",
        "agent along, for hosts that have none.",
      ),
    },
    files: [
      ...controllerFiles(dist).map(programFile),
      ...documents("nexcage"),
      ...shared().filter(({ path }) => !isAgents(path)),
    ],
    overrides: text("packaging/debian/nexcage.lintian-overrides"),
    copyright: copyrightOf({ npm: true, native: true, node: true }),
    changelog: text("CHANGELOG.md"),
  };
}

/** A file of `dist/`: what lies at its top is for /usr/bin, all else for /usr. */
function programFile(path: string): PackageFile {
  const isStart = !path.includes("/");
  const isLibrary = /\.(node|so)$/.test(path);
  return {
    path: isStart ? `usr/bin/${path}` : `usr/${path}`,
    from: join(dist, path),
    isProgram: !isLibrary && (statSync(join(dist, path)).mode & 0o111) !== 0,
  };
}

/** In their folders as here, so that their links lead somewhere. */
function documents(name: string): PackageFile[] {
  const pages = readdirSync(join(root, "docs"), { encoding: "utf8", recursive: true }).filter((file) =>
    file.endsWith(".md"),
  );
  const paths = ["README.md", ...pages.map((file) => `docs/${file}`)];
  return paths.map((path) => ({ path: `usr/share/doc/${name}/${path}`, from: join(root, path) }));
}

/** Man pages and completions of both programs, where they have been made. */
function shared(): PackageFile[] {
  const folder = join(dist, "share");
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => {
      const from = join(parentPath, name);
      // Debian's zsh does not look into site-functions.
      const path = join("usr/share", relative(folder, from).replace("site-functions", "vendor-completions"));
      return path.includes("/man/")
        ? { path: `${path}.gz`, content: gzip(readFileSync(from)) }
        : { path, from };
    });
}

function isAgents(path: string): boolean {
  return /^_?nexcage-agent\b/.test(basename(path));
}

/** The field of deb-control(5). */
function describe(synopsis: string, ...lines: string[]): string {
  return [synopsis, ...lines].join("\n ");
}

await main().catch((error: unknown) => fail("deb", error));
