import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { crunSource, lockedSha512 } from "./components.ts";

const root = join(import.meta.dirname, "../..");

/** A file of a release, with its digest. */
export type Artifact = { name: string; sha256: string };

/** The commit of the sources, and whether files differ from it. */
export type Source = { commit: string; isChanged: boolean };

export async function sourceOf(): Promise<Source> {
  const git = async (...args: string[]) => (await execa("git", args, { cwd: root })).stdout.trim();
  return { commit: await git("rev-parse", "HEAD"), isChanged: (await git("status", "--porcelain")) !== "" };
}

/**
 * An in-toto statement v1 with SLSA's provenance v1, as one line: how these artifacts came to be. It has neither time
 * nor run of the build, so that who builds again gets the same.
 * @param options.environment GitHub's variables name its workflow; else the builder is `local`
 */
export function provenance(
  artifacts: Artifact[],
  options: { version: string; isQuick: boolean; source: Source; environment: NodeJS.ProcessEnv },
): string {
  const { version, isQuick, source, environment } = options;
  const { GITHUB_ACTIONS, GITHUB_SERVER_URL, GITHUB_REPOSITORY, GITHUB_REF, GITHUB_WORKFLOW_REF } =
    environment;
  const isOnGitHub = GITHUB_ACTIONS === "true";
  const crun = crunSource();
  const node = `node-linux-${process.arch}`;
  const lock = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  const statement = {
    _type: "https://in-toto.io/Statement/v1",
    subject: artifacts.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: "https://slsa.dev/provenance/v1",
    predicate: {
      buildDefinition: {
        buildType: "urn:nexcage:release:v1",
        externalParameters: {
          version,
          platform: `linux-${process.arch}`,
          ...(isQuick && { quick: true }),
          ...(source.isChanged && { changedSinceCommit: true }),
        },
        internalParameters: {},
        resolvedDependencies: [
          {
            name: "nexcage",
            ...(isOnGitHub && { uri: `git+${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}@${GITHUB_REF}` }),
            digest: { gitCommit: source.commit },
          },
          { name: "package-lock.json", digest: { sha256: lock.digest("hex") } },
          {
            name: `crun_${crun.version}.orig.tar.gz`,
            uri: `pkg:deb/debian/crun@${crun.version}?arch=source`,
            digest: { sha256: crun.sha256 },
          },
          {
            name: node,
            uri: `pkg:npm/${node}@${process.versions.node}`,
            digest: { sha512: lockedSha512(`node_modules/${node}`) },
          },
        ],
      },
      runDetails: {
        builder: {
          id: isOnGitHub ? `${GITHUB_SERVER_URL}/${GITHUB_WORKFLOW_REF}` : "urn:nexcage:builder:local",
        },
      },
    },
  };
  return `${JSON.stringify(statement)}\n`;
}
