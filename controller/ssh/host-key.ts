import { NexcageError } from "../../shared/errors.ts";
import { fingerprint, type KnownHost, keyType, knownHostLine, namesHost } from "./known-hosts.ts";

/** What decides about a host's key. */
export type HostKeyPolicy = {
  /** The host's name in messages. */
  host: string;
  /** Its names in known_hosts, the one with the port first; ssh takes the plain one for any port. */
  names: [string, ...string[]];
  known: KnownHost[];
  /** From the inventory: `SHA256:…`, and no other key is taken. */
  pin: string | undefined;
  checking: "strict" | "accept-new";
  /** Where a new key is, or would be, written. */
  file: string;
};

export type Verdict =
  | { kind: "trusted" }
  | { kind: "new"; line: string }
  | { kind: "refused"; error: NexcageError };

/** Whether to talk to a host that shows this key. Pure. A revoked key is refused whatever else is known. */
export function judgeHostKey(key: Buffer, policy: HostKeyPolicy): Verdict {
  const { host, names, pin } = policy;
  const lines = policy.known.filter((line) => names.some((name) => namesHost(line.names, name)));
  const same = (line: KnownHost): boolean => line.key.equals(key);

  const revoked = lines.find((line) => line.marker === "revoked" && same(line));
  if (revoked !== undefined)
    return refuse(
      "HOST_KEY_REVOKED",
      `${host} showed host key ${describe(key)}, which ${place(revoked)} revokes`,
      {
        hint: "do not use this host before it has a new key: whoever answers may hold the revoked one",
        key,
        knownFingerprints: [fingerprint(revoked.key)],
      },
    );

  if (pin !== undefined) {
    if (fingerprint(key) === pin) return { kind: "trusted" };
    return refuse(
      "HOST_KEY_CHANGED",
      `${host} showed host key ${describe(key)}, its host_key in the inventory is ${pin}`,
      {
        hint: `if the host was reinstalled, write host_key: "${fingerprint(key)}"`,
        key,
        knownFingerprints: [pin],
      },
    );
  }

  const trusted = trustedLines(policy);
  if (trusted.some(same)) return { kind: "trusted" };
  const others = trusted.filter((line) => namesHost(line.names, names[0]));
  const [other] = others.toSorted((a, b) => rank(a, key) - rank(b, key));
  if (other !== undefined)
    return refuse(
      "HOST_KEY_CHANGED",
      `${host} showed host key ${describe(key)}, ${place(other)} has ${describe(other.key)}`,
      {
        hint: `if the host was reinstalled: ssh-keygen -f '${other.file}' -R '${names[0]}'`,
        key,
        knownFingerprints: others.map((line) => fingerprint(line.key)),
      },
    );

  const line = knownHostLine(names[0], key);
  if (policy.checking === "accept-new") return { kind: "new", line };
  const authority = lines.find((found) => found.marker === "cert-authority");
  return refuse(
    "HOST_KEY_UNKNOWN",
    authority === undefined
      ? `${host} showed host key ${describe(key)}, and no known_hosts file has a key of ${names[0]}`
      : `${host} showed host key ${describe(key)}; ${place(authority)} knows it by its certificate authority alone, which nexcage cannot check`,
    {
      hint: `if the host says the same (ssh-keygen -lf /etc/ssh/ssh_host_${shortType(key)}_key.pub): echo '${line}' >>'${policy.file}'`,
      key,
      knownFingerprints: [],
    },
  );
}

/**
 * The algorithms to ask a host for, those of the keys that are known first, as ssh does: a host shows one key
 * only, and one that is known by its RSA key alone would look unknown when it shows another.
 */
export function hostKeyAlgorithms(policy: Pick<HostKeyPolicy, "known" | "names" | "pin">): string[] {
  const trusted = trustedLines(policy);
  const pinned = trusted.filter((line) => fingerprint(line.key) === policy.pin);
  const wanted = (pinned.length > 0 ? pinned : trusted).flatMap(({ type }) => algorithmsOf(type));
  return [...new Set([...wanted, ...supported])].filter((name) => supported.includes(name));
}

/**
 * The lines that tell the host's key: those of its first name that has any. What listens on the plain name's
 * own port may be another machine, and must not pass for this one where its key is known.
 */
function trustedLines({ known, names }: Pick<HostKeyPolicy, "known" | "names">): KnownHost[] {
  const trusted = known.filter((line) => line.marker === "none");
  const byName = names.map((name) => trusted.filter((line) => namesHost(line.names, name)));
  return byName.find((lines) => lines.length > 0) ?? [];
}

/** What ssh2 1.17 can check; a name that it does not know makes it throw. SHA-1 signatures are left out. */
const supported: readonly string[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

/** The names under which keys of this type are asked for. */
export function algorithmsOf(type: string): string[] {
  return type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [type];
}

function refuse(
  code: "HOST_KEY_UNKNOWN" | "HOST_KEY_CHANGED" | "HOST_KEY_REVOKED",
  message: string,
  { hint, key, knownFingerprints }: { hint: string; key: Buffer; knownFingerprints: string[] },
): Verdict {
  const details = { fingerprint: fingerprint(key), knownFingerprints };
  return { kind: "refused", error: new NexcageError(code, message, { hint, details }) };
}

/** A line with a key of the same type says most about a changed key. */
function rank(line: KnownHost, key: Buffer): number {
  return line.type === keyType(key) ? 0 : 1;
}

function describe(key: Buffer): string {
  return `${fingerprint(key)} (${keyType(key)})`;
}

function place({ file, line }: KnownHost): string {
  return `${file}:${line}`;
}

/** As the files under /etc/ssh are named. */
function shortType(key: Buffer): string {
  const type = keyType(key);
  return type.startsWith("ecdsa-") ? "ecdsa" : type.replace(/^ssh-/, "");
}
