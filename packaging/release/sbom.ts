import { createHash } from "node:crypto";
import type { Component } from "./components.ts";

/** What a software bill of materials is of: this version, its date in seconds, and what is in it. */
export type Contents = { version: string; epoch: number; components: Component[] };

const licence = "Apache-2.0";
const agent = "nexcage-agent";

/** CycloneDX 1.6. Pure: the same contents give the same text. */
export function cycloneDx({ version, epoch, components }: Contents): string {
  const ours = (name: string) => ({
    type: "application",
    "bom-ref": `pkg:generic/${name}@${version}`,
    name,
    version,
    licenses: [{ license: { id: licence } }],
    purl: `pkg:generic/${name}@${version}`,
  });
  const uses = (name: string) => components.filter((component) => component.in.includes(name));
  const dependsOn = (name: string, more: string[] = []) => [...uses(name).map(({ purl }) => purl), ...more];
  const product = ours("nexcage");
  return text({
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf({ version, epoch, components })}`,
    version: 1,
    metadata: { timestamp: date(epoch), component: product },
    components: [
      ours(agent),
      ...components.map(({ name, version, licence, purl, cpe, digest, how }) => ({
        type: name === "node" ? "platform" : "library",
        "bom-ref": purl,
        ...cycloneDxName(name),
        version,
        ...(digest && { hashes: [{ alg: cycloneDxAlgorithm[digest.algorithm], content: digest.hex }] }),
        licenses: isOneLicence(licence) ? [{ license: { id: licence } }] : [{ expression: licence }],
        ...(cpe && { cpe }),
        purl,
        properties: [{ name: "nexcage:how", value: how }],
      })),
    ],
    dependencies: [
      { ref: product["bom-ref"], dependsOn: dependsOn("nexcage", [ours(agent)["bom-ref"]]) },
      { ref: ours(agent)["bom-ref"], dependsOn: dependsOn(agent) },
      ...components.map(({ name, purl }) => ({ ref: purl, dependsOn: dependsOn(name) })),
    ],
  });
}

const cycloneDxAlgorithm = { sha256: "SHA-256", sha512: "SHA-512" } as const;

/** A scope is a group there. */
function cycloneDxName(name: string): { group?: string; name: string } {
  const [, group, rest] = /^(@[^/]+)\/(.+)$/.exec(name) ?? [];
  return group === undefined || rest === undefined ? { name } : { group, name: rest };
}

/** SPDX 2.3 in JSON. Pure: the same contents give the same text. */
export function spdx({ version, epoch, components }: Contents): string {
  const unknown = { downloadLocation: "NOASSERTION", copyrightText: "NOASSERTION", filesAnalyzed: false };
  const ours = (name: string) => ({
    SPDXID: spdxId(name, version),
    name,
    versionInfo: version,
    ...unknown,
    licenseConcluded: licence,
    licenseDeclared: licence,
    primaryPackagePurpose: "APPLICATION",
    externalRefs: [purlRef(`pkg:generic/${name}@${version}`)],
  });
  const idOf = (name: string): string =>
    spdxId(name, components.find((component) => component.name === name)?.version ?? version);
  const related = (spdxElementId: string, relationshipType: string, relatedSpdxElement: string) => ({
    spdxElementId,
    relationshipType,
    relatedSpdxElement,
  });
  return text({
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name: `nexcage-${version}`,
    documentNamespace: `urn:uuid:${uuidOf({ version, epoch, components })}`,
    creationInfo: { created: date(epoch), creators: [`Tool: nexcage-release-${version}`] },
    documentDescribes: [spdxId("nexcage", version)],
    packages: [
      ours("nexcage"),
      ours(agent),
      ...components.map((component) => ({
        SPDXID: spdxId(component.name, component.version),
        name: component.name,
        versionInfo: component.version,
        ...unknown,
        ...(component.digest && {
          checksums: [
            { algorithm: component.digest.algorithm.toUpperCase(), checksumValue: component.digest.hex },
          ],
        }),
        licenseConcluded: "NOASSERTION",
        licenseDeclared: component.licence,
        primaryPackagePurpose: component.name === "node" ? "APPLICATION" : "LIBRARY",
        externalRefs: [
          purlRef(component.purl),
          ...(component.cpe
            ? [{ referenceCategory: "SECURITY", referenceType: "cpe23Type", referenceLocator: component.cpe }]
            : []),
        ],
      })),
    ],
    relationships: [
      related("SPDXRef-DOCUMENT", "DESCRIBES", spdxId("nexcage", version)),
      related(spdxId("nexcage", version), "CONTAINS", spdxId(agent, version)),
      ...components.flatMap((component) =>
        component.in.map((name) =>
          related(idOf(name), spdxRelation[component.how], spdxId(component.name, component.version)),
        ),
      ),
    ],
  });
}

const spdxRelation = { bundled: "CONTAINS", linked: "STATIC_LINK", beside: "DEPENDS_ON" } as const;

function purlRef(purl: string) {
  return { referenceCategory: "PACKAGE-MANAGER", referenceType: "purl", referenceLocator: purl };
}

/** Letters, digits, dots and hyphens only. */
function spdxId(name: string, version: string): string {
  return `SPDXRef-${`${name}-${version}`.replaceAll(/[^A-Za-z0-9.-]+/g, "-").replace(/^-/, "")}`;
}

function isOneLicence(expression: string): boolean {
  return !expression.includes(" ");
}

/** To the second, in UTC. */
function date(epoch: number): string {
  return new Date(epoch * 1000).toISOString().replace(".000", "");
}

/** Of the contents themselves, so that the same contents have the same id; a version 8 of RFC 9562. */
function uuidOf(contents: Contents): string {
  const hex = createHash("sha256").update(JSON.stringify(contents)).digest("hex");
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `8${hex.slice(17, 20)}`];
  return [...parts, hex.slice(20, 32)].join("-");
}

function text(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
