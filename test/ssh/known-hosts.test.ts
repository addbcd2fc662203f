import { readFile } from "node:fs/promises";
import test from "ava";
import { execa } from "execa";
import { hostKeyAlgorithms, judgeHostKey } from "../../controller/ssh/host-key.ts";
import {
  fingerprint,
  keyType,
  knownHostName,
  namesHost,
  parseKnownHosts,
} from "../../controller/ssh/known-hosts.ts";
import { KnownHostsFiles } from "../../controller/ssh/known-hosts-files.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { makeHome } from "./sshd.ts";

const keys = {
  ed25519: "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
  other: "AAAAC3NzaC1lZDI1NTE5AAAAIBWBm0D6Ua/ihIPb8Hsm8ZrYB4hq5gM0t9CcDJmFn9Bm",
  rsa: `AAAAB3NzaC1yc2EAAAADAQABAAAAgQ${"D".repeat(100)}`,
};
const shown = Buffer.from(keys.ed25519, "base64");

const names: { title: string; names: string; matches: string[]; misses: string[] }[] = [
  { title: "a name", names: "pve1", matches: ["pve1"], misses: ["pve2", "pve1.net", "[pve1]:2222"] },
  {
    title: "several names",
    names: "pve1,10.20.0.11",
    matches: ["pve1", "10.20.0.11"],
    misses: ["10.20.0.1"],
  },
  { title: "upper case", names: "PVE1", matches: ["pve1"], misses: [] },
  { title: "a port", names: "[pve1]:2222", matches: ["[pve1]:2222"], misses: ["pve1", "[pve1]:2223"] },
  { title: "* and ?", names: "*.net,pve?", matches: ["a.b.net", "pve7"], misses: ["net", "pve", "pve10"] },
  { title: "a dot", names: "pve.1", matches: ["pve.1"], misses: ["pvex1"] },
  { title: "!", names: "*.net,!bad.net", matches: ["good.net"], misses: ["bad.net"] },
];
for (const { title, names: field, matches, misses } of names)
  test(`known_hosts names hosts by ${title}`, (t) => {
    for (const name of matches) t.true(namesHost(field, name), name);
    for (const name of misses) t.false(namesHost(field, name), name);
  });

test("hashed names are those of ssh-keygen -H", async (t) => {
  await using home = await makeHome();
  const path = await home.write(
    "hashed",
    `pve1,10.20.0.11 ssh-ed25519 ${keys.ed25519}\n[pve2]:2222 ssh-ed25519 ${keys.ed25519}\n`,
  );
  await execa("ssh-keygen", ["-H", "-f", path]);
  const lines = parseKnownHosts(await readFile(path, "utf8"), path);
  t.is(lines.length, 3);
  t.true(lines.every(({ names: field }) => field.startsWith("|1|")));
  const known = (name: string): boolean => lines.some((line) => namesHost(line.names, name));
  t.true(known("pve1"));
  t.true(known("10.20.0.11"));
  t.true(known(knownHostName("PVE2", 2222)));
  t.false(known("pve2"));
});

test("comments, empty lines and lines that make no sense are skipped, and the others keep their numbers", (t) => {
  const text = `# pve1 ssh-ed25519 ${keys.ed25519}\n\nnonsense\npve1 ssh-rsa ${keys.ed25519}\n@future pve1 ssh-ed25519 ${keys.ed25519}\n  pve1\tssh-ed25519  ${keys.ed25519} a comment\r\n`;
  const lines = parseKnownHosts(text, "known_hosts");
  t.deepEqual(
    lines.map(({ line, type, marker }) => ({ line, type, marker })),
    [{ line: 6, type: "ssh-ed25519", marker: "none" }],
  );
});

test("fingerprints are those of ssh-keygen -l", async (t) => {
  await using home = await makeHome();
  const key = await home.key("id");
  const blob = Buffer.from(key.publicLine.split(" ")[1] ?? "", "base64");
  t.is(fingerprint(blob), key.fingerprint);
  t.is(keyType(blob), "ssh-ed25519");
});

type Case = {
  title: string;
  known: string[];
  port?: number;
  pin?: string;
  checking?: "strict" | "accept-new";
  verdict: ErrorCode | "trusted" | "new";
  says?: RegExp;
};
const verdicts: Case[] = [
  { title: "a known key is trusted", known: [`pve1 ssh-ed25519 ${keys.ed25519}`], verdict: "trusted" },
  {
    title: "a key that is known for any port is trusted on every one",
    known: [`pve1 ssh-ed25519 ${keys.ed25519}`],
    port: 2222,
    verdict: "trusted",
  },
  {
    title: "another key for any port says nothing of this port",
    known: [`pve1 ssh-ed25519 ${keys.other}`],
    port: 2222,
    verdict: "HOST_KEY_UNKNOWN",
  },
  {
    title: "a key of the host's own port does not pass on another one whose key is known",
    known: [`pve1 ssh-ed25519 ${keys.ed25519}`, `[pve1]:2222 ssh-ed25519 ${keys.other}`],
    port: 2222,
    verdict: "HOST_KEY_CHANGED",
    says: /known_hosts:2 has SHA256/,
  },
  {
    title: "a host with another key of the type has changed",
    known: [`pve1 ssh-rsa ${keys.rsa}`, `pve1 ssh-ed25519 ${keys.other}`],
    verdict: "HOST_KEY_CHANGED",
    says: /^pve1 showed host key SHA256:\S+ \(ssh-ed25519\), known_hosts:2 has SHA256:\S+ \(ssh-ed25519\)$/,
  },
  {
    title: "a changed key is refused where new ones are accepted",
    known: [`pve1 ssh-ed25519 ${keys.other}`],
    checking: "accept-new",
    verdict: "HOST_KEY_CHANGED",
  },
  {
    title: "a host that is known by another type only has changed",
    known: [`pve1 ssh-rsa ${keys.rsa}`],
    checking: "accept-new",
    verdict: "HOST_KEY_CHANGED",
  },
  {
    title: "one of several known keys is enough",
    known: [`pve1 ssh-ed25519 ${keys.other}`, `pve1 ssh-ed25519 ${keys.ed25519}`],
    verdict: "trusted",
  },
  {
    title: "a host without a line is unknown",
    known: [`pve2 ssh-ed25519 ${keys.ed25519}`],
    verdict: "HOST_KEY_UNKNOWN",
  },
  {
    title: "a host without a line is new where that is accepted",
    known: [],
    checking: "accept-new",
    verdict: "new",
  },
  {
    title: "a revoked key is refused although another line trusts it",
    known: [`pve1 ssh-ed25519 ${keys.ed25519}`, `@revoked * ssh-ed25519 ${keys.ed25519}`],
    verdict: "HOST_KEY_REVOKED",
    says: /which known_hosts:2 revokes$/,
  },
  {
    title: "a revoked key is refused although it is pinned",
    known: [`@revoked pve1 ssh-ed25519 ${keys.ed25519}`],
    pin: fingerprint(shown),
    verdict: "HOST_KEY_REVOKED",
  },
  {
    title: "a key revoked for another host is trusted",
    known: [`pve1 ssh-ed25519 ${keys.ed25519}`, `@revoked pve2 ssh-ed25519 ${keys.ed25519}`],
    verdict: "trusted",
  },
  {
    title: "a host known by its certificate authority alone is unknown, and told why",
    known: [`@cert-authority *.net,pve1 ssh-ed25519 ${keys.other}`],
    verdict: "HOST_KEY_UNKNOWN",
    says: /known_hosts:1 knows it by its certificate authority alone, which nexcage cannot check/,
  },
  {
    title: "an authority's own key is no host key",
    known: [`@cert-authority pve1 ssh-ed25519 ${keys.ed25519}`],
    verdict: "HOST_KEY_UNKNOWN",
  },
  {
    title: "the pinned key is trusted without known_hosts",
    known: [],
    pin: fingerprint(shown),
    verdict: "trusted",
  },
  {
    title: "a pin is stronger than known_hosts",
    known: [`pve1 ssh-ed25519 ${keys.ed25519}`],
    pin: "SHA256:something",
    verdict: "HOST_KEY_CHANGED",
    says: /its host_key in the inventory is SHA256:something$/,
  },
];
for (const { title, known, port = 22, pin, checking = "strict", verdict, says } of verdicts)
  test(title, (t) => {
    const judged = judgeHostKey(shown, {
      host: "pve1",
      names: [knownHostName("pve1", port), "pve1"],
      known: parseKnownHosts(known.join("\n"), "known_hosts"),
      pin,
      checking,
      file: "known_hosts",
    });
    const error = judged.kind === "refused" ? judged.error : undefined;
    t.is(error?.code ?? judged.kind, verdict);
    if (says !== undefined) t.regex(error?.message ?? "", says);
    if (error !== undefined) t.true(error.message.includes(fingerprint(shown)));
  });

test("an unknown key's hint is the command that makes it known", async (t) => {
  await using home = await makeHome();
  const file = home.file("known_hosts");
  const policy = {
    host: "pve1",
    names: ["[pve1]:2222"] as [string],
    pin: undefined,
    checking: "strict",
    file,
  } as const;
  const judged = judgeHostKey(shown, { ...policy, known: [] });
  const hint = judged.kind === "refused" ? (judged.error.hint ?? "") : "";
  const command = hint.slice(hint.indexOf("echo "));
  await execa("sh", ["-c", command]);
  const known = parseKnownHosts(await readFile(file, "utf8"), file);
  t.is(judgeHostKey(shown, { ...policy, known }).kind, "trusted");
});

test("the types that are known are asked for first, and RSA by its modern signatures", (t) => {
  const known = parseKnownHosts(`pve1 ssh-rsa ${keys.rsa}`, "known_hosts");
  const asked = hostKeyAlgorithms({ known, names: ["pve1"], pin: undefined });
  t.deepEqual(asked.slice(0, 3), ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
  t.false(asked.includes("ssh-rsa"));
  t.is(hostKeyAlgorithms({ known, names: ["pve2"], pin: undefined })[0], "ssh-ed25519");

  const ports = parseKnownHosts(
    `pve1 ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY=\n[pve1]:2222 ssh-rsa ${keys.rsa}`,
    "known_hosts",
  );
  const names: [string, string] = ["[pve1]:2222", "pve1"];
  t.is(ports.length, 2);
  t.deepEqual(hostKeyAlgorithms({ known: ports, names, pin: undefined }).slice(0, 3), [
    "rsa-sha2-512",
    "rsa-sha2-256",
    "ssh-ed25519",
  ]);
});

test("a new key that several connections meet in the same moment is written once", async (t) => {
  await using home = await makeHome();
  const file = home.file("below/known_hosts");
  const files = new KnownHostsFiles();
  const policy = {
    host: "pve1",
    names: ["pve1"] as [string],
    pin: undefined,
    checking: "accept-new",
    file,
  } as const;
  const verdicts = await Promise.all([1, 2, 3].map(() => files.judge(shown, policy, [file])));
  t.deepEqual(
    verdicts.map(({ kind }) => kind),
    ["new", "trusted", "trusted"],
  );
  t.is(await readFile(file, "utf8"), `pve1 ssh-ed25519 ${keys.ed25519}\n`);
});
