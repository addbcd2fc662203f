import { NexcageError } from "../../shared/errors.ts";
import { keyType } from "../ssh/known-hosts.ts";
import { matchesPatterns } from "../ssh/patterns.ts";

/*
 * The format of allowed_signers: ssh-keygen(1), "ALLOWED SIGNERS". Pure.
 */

/** A line: who may sign what, and when. */
export type AllowedSigner = {
  line: number;
  /** Patterns by comma, of which those with `!` exclude. */
  principals: string;
  /** Likewise; undefined allows all. */
  namespaces: string | undefined;
  validAfter: Date | undefined;
  validBefore: Date | undefined;
  isAuthority: boolean;
  key: Buffer;
};

/** @throws {NexcageError} `INVALID_FILE` with the line that makes no sense */
export function parseAllowedSigners(text: string, file: string): AllowedSigner[] {
  return text.split("\n").flatMap((content, index) => {
    const trimmed = content.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return [];
    return [parseLine(trimmed, { file, line: index + 1 })];
  });
}

/**
 * Why this key may not sign in this namespace now; undefined where it may.
 * @param signers of one file; certificates are not known here, so a line of an authority allows nothing
 */
export function whyNotAllowed(
  signers: AllowedSigner[],
  { key, principal, namespace, now }: { key: Buffer; principal: string; namespace: string; now: Date },
): string | undefined {
  const lines = signers.filter((signer) => !signer.isAuthority && signer.key.equals(key));
  if (lines.length === 0) return "no line has its key";
  const reasons = lines.map(({ line, principals, namespaces, validAfter, validBefore }) => {
    if (!matchesPatterns(principals, principal)) return `line ${line} is not for ${principal}`;
    if (namespaces !== undefined && !matchesPatterns(namespaces, namespace))
      return `line ${line} is not for ${namespace}`;
    if (validAfter !== undefined && now < validAfter) return `the key of line ${line} is not valid yet`;
    if (validBefore !== undefined && now >= validBefore)
      return `the key of line ${line} is not valid any more`;
    return undefined;
  });
  return reasons.includes(undefined) ? undefined : reasons[0];
}

/** `PRINCIPALS [OPTIONS] TYPE BASE64 [COMMENT]`; quotes keep spaces together. */
function parseLine(content: string, { file, line }: { file: string; line: number }): AllowedSigner {
  const invalid = (why: string) =>
    new NexcageError("INVALID_FILE", `${file}:${line}: ${why}`, {
      hint: 'a line is: nexcage namespaces="nexcage-release" ssh-ed25519 AAAA…',
    });
  const words = content.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  const [principals = "", ...rest] = words;
  const options = isKeyType(rest[0]) ? "" : (rest.shift() ?? "");
  const [type = "", base64 = ""] = rest;
  const key = Buffer.from(base64, "base64");
  if (!isKeyType(type) || keyType(key) !== type) throw invalid("there is no key in it");
  const signer: AllowedSigner = {
    line,
    principals: unquoted(principals),
    namespaces: undefined,
    validAfter: undefined,
    validBefore: undefined,
    isAuthority: false,
    key,
  };
  for (const option of options.match(/(?:[^,"]|"[^"]*")+/g) ?? []) {
    const [name = "", value = ""] = option.split(/=(.*)/s);
    const date = (): Date => {
      const parsed = parseDate(unquoted(value));
      if (parsed === undefined) throw invalid(`${value} is no time, such as 20261231 or 20261231235959Z`);
      return parsed;
    };
    switch (name.toLowerCase()) {
      case "cert-authority":
        signer.isAuthority = true;
        break;
      case "namespaces":
        signer.namespaces = unquoted(value);
        break;
      case "valid-after":
        signer.validAfter = date();
        break;
      case "valid-before":
        signer.validBefore = date();
        break;
      default:
        throw invalid(`${JSON.stringify(name)} is not an option that is known`);
    }
  }
  return signer;
}

function isKeyType(word: string | undefined): boolean {
  return /^(?:sk-)?(?:ssh|ecdsa)-[\w-]+(?:@openssh\.com)?$/.test(word ?? "");
}

function unquoted(word: string): string {
  return word.replaceAll('"', "");
}

/** `YYYYMMDD[HHMM[SS]]`, of this machine's time zone unless a Z follows. */
function parseDate(text: string): Date | undefined {
  const [, year, month, day, hours = "00", minutes = "00", seconds = "00", zone = ""] =
    /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)$/.exec(text) ?? [];
  const date = new Date(`${year}-${month}-${day}T${hours}:${minutes}:${seconds}${zone}`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
