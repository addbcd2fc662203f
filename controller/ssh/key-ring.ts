import { readFile } from "node:fs/promises";
import { execa } from "execa";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { untilAborted } from "../abort.ts";
import { type AgentKey, listAgentKeys, signWithAgent } from "./agent.ts";
import type { Destination } from "./destination.ts";
import { inspectKey, type KeyFile, type PrivateKey, unlockKey, unsupportedType } from "./keys.ts";
import { keyType } from "./known-hosts.ts";
import { Secret } from "./secret.ts";

/** A key to log in with, wherever its private half is. */
export type Identity = {
  /** For messages: the file, or the agent's comment. */
  label: string;
  publicKey: Buffer;
  sign(data: Buffer, hash: string | undefined): Promise<Buffer>;
};

/** What there is to log in with, and what was passed over, in words for the error if all of it fails. */
export type Identities = {
  identities: Identity[];
  /** Keys that exist but could not be used this time. */
  passedOver: string[];
  /** Keys that nexcage never can use. */
  unsupported: string[];
};

type Waiting = { signal: AbortSignal };

export type Prompt = (text: string) => Promise<string>;

const passphraseTries = 3;

/**
 * The user's keys, each read and unlocked once however many hosts want it, before any of their connections:
 * a handshake has its limits, and a person who types a passphrase has none.
 */
export class KeyRing {
  readonly #prompt: Prompt | undefined;
  readonly #files = new Map<string, Promise<{ text: string; file: KeyFile } | undefined>>();
  readonly #unlocked = new Map<string, Promise<PrivateKey | string>>();
  readonly #agents = new Map<string, Promise<AgentKey[] | string>>();
  /** One question at a time. */
  #asking: Promise<unknown> = Promise.resolve();

  constructor({ prompt }: { prompt: Prompt | undefined }) {
    this.#prompt = prompt;
  }

  /**
   * In the order in which they are tried: keys that someone wrote down (by the agent where it holds them),
   * the agent's others, ssh's default files. A default file's passphrase is asked for only when there is
   * nothing else.
   */
  async identitiesFor(destination: Destination, { signal }: Waiting): Promise<Identities> {
    const { identityFiles, identitiesConfigured, identitiesOnly, agentSocket } = destination;
    const passedOver: string[] = [];
    const unsupported: string[] = [];
    const held = await this.#heldBy(agentSocket, { signal });
    if (typeof held === "string") passedOver.push(held);
    const agentKeys = typeof held === "string" ? [] : held;

    const fromFiles: Identity[] = [];
    const locked: string[] = [];
    const listed: Buffer[] = [];
    for (const path of identityFiles) {
      const read = await this.#read(path);
      if (read === undefined) {
        if (identitiesConfigured) passedOver.push(`${path} does not exist`);
        continue;
      }
      const { file } = read;
      if (file.kind === "unsupported") {
        unsupported.push(`${path} is ${file.what}`);
        continue;
      }
      if (await this.#read(`${path}-cert.pub`)) unsupported.push(`${path}-cert.pub is a certificate`);
      const publicKey = file.kind === "plain" ? file.key.publicKey : file.publicKey;
      if (publicKey !== undefined) listed.push(publicKey);
      const inAgent = agentKeys.find((key) => publicKey !== undefined && key.publicKey.equals(publicKey));
      if (inAgent !== undefined && agentSocket !== undefined)
        fromFiles.push(agentIdentity(agentSocket, inAgent, { signal }));
      else if (file.kind === "plain") fromFiles.push(fileIdentity(path, file.key));
      else if (file.kind === "public")
        passedOver.push(`${path} is a public key, and no agent holds the private one`);
      else locked.push(path);
    }

    const fromAgent: Identity[] = [];
    if (!identitiesOnly && agentSocket !== undefined)
      for (const key of agentKeys) {
        if (listed.some((known) => known.equals(key.publicKey))) continue;
        const what = unsupportedType(keyType(key.publicKey));
        if (what === undefined) fromAgent.push(agentIdentity(agentSocket, key, { signal }));
        else unsupported.push(`"${key.comment}" in the ssh-agent is ${what}`);
      }

    const mustUnlock = identitiesConfigured || fromFiles.length + fromAgent.length === 0;
    for (const path of locked) {
      const key = mustUnlock
        ? await this.#unlock(path, destination, { signal })
        : "is encrypted, and other keys were tried";
      if (typeof key === "string") passedOver.push(`${path} ${key}`);
      else fromFiles.push(fileIdentity(path, key));
    }
    const identities = identitiesConfigured ? [...fromFiles, ...fromAgent] : [...fromAgent, ...fromFiles];
    return { identities, passedOver, unsupported };
  }

  #heldBy(socket: string | undefined, { signal }: Waiting): Promise<AgentKey[] | string> {
    if (socket === undefined) return Promise.resolve([]);
    return remember(this.#agents, socket, async () => {
      try {
        return await listAgentKeys(socket, { signal });
      } catch (error) {
        if (error instanceof NexcageError) return error.message;
        throw error;
      }
    });
  }

  #read(path: string): Promise<{ text: string; file: KeyFile } | undefined> {
    return remember(this.#files, path, async () => {
      try {
        const text = await readFile(path, "utf8");
        return { text, file: inspectKey(text) };
      } catch (error) {
        if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
        const reason = error instanceof Error ? error.message : String(error);
        throw new NexcageError("AUTH_FAILED", `cannot read the key ${path}: ${reason}`, { cause: error });
      }
    });
  }

  /** The key, or why it stays locked. */
  #unlock(
    path: string,
    { passphraseCommand }: Destination,
    { signal }: Waiting,
  ): Promise<PrivateKey | string> {
    return remember(this.#unlocked, path, async () => {
      const text = (await this.#read(path))?.text ?? "";
      if (passphraseCommand !== undefined) {
        const passphrase = await runPassphraseCommand(passphraseCommand, { signal });
        return (
          unlockKey(text, passphrase) ?? "is encrypted, and passphrase_command printed another passphrase"
        );
      }
      if (this.#prompt === undefined)
        return "is encrypted, and there is no terminal to ask for its passphrase (ssh-add it, or set passphrase_command)";
      for (let tries = 0; tries < passphraseTries; tries++) {
        const passphrase = await this.#ask(`Passphrase of ${path}: `, { signal });
        const key = unlockKey(text, passphrase);
        if (key !== undefined) return key;
      }
      return `is encrypted, and ${passphraseTries} passphrases were wrong`;
    });
  }

  async #ask(text: string, { signal }: Waiting): Promise<Secret> {
    const prompt = this.#prompt;
    const answer = this.#asking.then(() => prompt?.(text) ?? "");
    this.#asking = answer.catch(() => {}); // the next question does not depend on this one's answer
    return new Secret(await untilAborted(answer, signal));
  }
}

function agentIdentity(socket: string, { publicKey, comment }: AgentKey, { signal }: Waiting): Identity {
  return {
    label: `"${comment}" of the ssh-agent`,
    publicKey,
    sign: (data, hash) => signWithAgent(socket, publicKey, data, { hash, signal }),
  };
}

function fileIdentity(path: string, key: PrivateKey): Identity {
  return { label: path, publicKey: key.publicKey, sign: async (data, hash) => key.sign(data, hash) };
}

async function runPassphraseCommand(words: string[], { signal }: { signal: AbortSignal }): Promise<Secret> {
  const [program = "", ...args] = words;
  const result = await execa(program, args, {
    cancelSignal: signal,
    timeout: 60_000,
    stdin: "ignore",
    reject: false,
    maxBuffer: 64 * 1024,
  });
  signal.throwIfAborted();
  if (!result.failed) return new Secret(result.stdout.split("\n")[0] ?? "");
  const said = result.stderr.trim().split("\n").at(-1) ?? "";
  throw new NexcageError(
    "AUTH_FAILED",
    `passphrase_command ${program} failed${said === "" ? "" : `: ${said}`}`,
    { hint: "it must print the passphrase on its first line and exit 0" },
  );
}

/** Makes a value once; one that could not be made is tried again. */
function remember<T>(made: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = made.get(key);
  if (known !== undefined) return known;
  const value = make();
  made.set(key, value);
  value.catch(() => made.delete(key));
  return value;
}
