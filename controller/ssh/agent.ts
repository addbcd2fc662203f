import { once } from "node:events";
import { connect } from "node:net";
import { NexcageError } from "../../shared/errors.ts";
import { readString, writeString } from "./wire.ts";

/*
 * The two questions that nexcage asks an ssh-agent (draft-ietf-sshm-ssh-agent). ssh2's own client drops the
 * certificates and FIDO keys in the answer without a word; here they are seen, and can be refused by name.
 */

export type AgentKey = { publicKey: Buffer; comment: string };

/** How long an agent may take; a key that asks for confirmation waits for a person. */
const answerTimeoutMs = 60_000;
/** As OpenSSH's own limit of one message. */
const maxAnswerBytes = 256 * 1024;

const message = { requestIdentities: 11, identities: 12, signRequest: 13, signature: 14 } as const;
const signFlag: Record<string, number> = { sha256: 2, sha512: 4 };

/**
 * The keys that an agent holds, in its order.
 * @throws {NexcageError} `AUTH_FAILED` where nothing answers at the socket
 */
export async function listAgentKeys(
  socket: string,
  { signal }: { signal: AbortSignal },
): Promise<AgentKey[]> {
  const answer = await ask(socket, Buffer.from([message.requestIdentities]), { signal });
  if (answer[0] !== message.identities) throw noAnswer(socket);
  const keys: AgentKey[] = [];
  for (let offset = 5; offset < answer.length; ) {
    const publicKey = readString(answer, offset);
    const comment = readString(answer, publicKey.end);
    keys.push({ publicKey: publicKey.value, comment: comment.value.toString() });
    offset = comment.end;
  }
  return keys;
}

/** A signature by a key that the agent holds, without the name of its algorithm. `hash` is for RSA keys. */
export async function signWithAgent(
  socket: string,
  publicKey: Buffer,
  data: Buffer,
  { hash, signal }: { hash: string | undefined; signal: AbortSignal },
): Promise<Buffer> {
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(signFlag[hash ?? ""] ?? 0);
  const request = Buffer.concat([
    Buffer.from([message.signRequest]),
    writeString(publicKey),
    writeString(data),
    flags,
  ]);
  const answer = await ask(socket, request, { signal });
  if (answer[0] !== message.signature) throw new NexcageError("AUTH_FAILED", "the ssh-agent refused to sign");
  const signature = readString(answer, 1).value;
  return readString(signature, readString(signature, 0).end).value;
}

async function ask(
  socketPath: string,
  request: Buffer,
  { signal }: { signal: AbortSignal },
): Promise<Buffer> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]);
  const socket = connect(socketPath);
  const abort = (): void => {
    socket.destroy(limit.reason);
  };
  limit.addEventListener("abort", abort, { once: true });
  try {
    await once(socket, "connect", { signal: limit });
    socket.write(writeString(request));
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4) continue;
      const length = received.readUInt32BE(0);
      if (length > maxAnswerBytes) throw noAnswer(socketPath);
      if (received.length >= 4 + length) return received.subarray(4, 4 + length);
    }
    throw noAnswer(socketPath);
  } catch (error) {
    if (signal.aborted || error instanceof NexcageError) throw error;
    throw noAnswer(socketPath, error);
  } finally {
    limit.removeEventListener("abort", abort);
    socket.destroy();
  }
}

function noAnswer(socket: string, cause?: unknown): NexcageError {
  return new NexcageError("AUTH_FAILED", `no ssh-agent answers at ${socket}`, { cause });
}
