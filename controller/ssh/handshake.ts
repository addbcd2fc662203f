import type { Duplex } from "node:stream";
import ssh2, { type ParsedKey, type SignCallback, type SigningRequestOptions } from "ssh2";
import { asNexcageError, NexcageError } from "../../shared/errors.ts";
import { Connection } from "./connection.ts";
import type { Destination } from "./destination.ts";
import {
  connectionError,
  type Failure,
  isDrop,
  isLoginFailure,
  loginError,
  silenceError,
  timeoutError,
  type WaitingFor,
} from "./errors.ts";
import type { Attempt } from "./handshakes.ts";
import type { Verdict } from "./host-key.ts";
import type { Identities, Identity } from "./key-ring.ts";
import { watchForSilence } from "./liveness.ts";

export type HandshakeOptions = {
  destination: Destination;
  keys: Identities;
  /** The kinds of host key to ask for, in this order. */
  hostKeyAlgorithms: string[];
  /** Decides about the key that the host shows; a new one it writes down first. */
  judge: (key: Buffer) => Promise<Verdict>;
  /** The connection that carries this one: when it is lost, this one ends without any error. */
  carrier: Connection | undefined;
  signal: AbortSignal;
};

/**
 * Speaks SSH over a socket, which may still be connecting, up to the login; `dropped` where the host closed it
 * before it said a word. Ends after the destination's connect timeout at the latest.
 * @throws {NexcageError} `HOST_UNREACHABLE`, `HOST_KEY_…`, `AUTH_FAILED`, `KEY_UNSUPPORTED`; the socket is closed
 */
export async function handshake(socket: Duplex, options: HandshakeOptions): Promise<Attempt<Connection>> {
  const { destination, keys, hostKeyAlgorithms, judge, carrier, signal } = options;
  const client = new ssh2.Client();
  const ready = Promise.withResolvers<void>();
  const lost = Promise.withResolvers<NexcageError>();
  const progress: { waitingFor: WaitingFor } = { waitingFor: "connection" };
  /** What we know better than ssh2, which sees no more than a closed socket. */
  let ours: NexcageError | undefined;
  let failure: Failure | undefined;
  let allowed: string[] = [];
  let ended = false;

  const end = (): void => {
    if (ended) return;
    ended = true;
    socket.destroy();
    carrierLoss(carrier)
      .then((carrierError) => {
        if (ours !== undefined) return ours;
        if (isLoginFailure(failure)) return loginError(destination, keys, { allowed, failure });
        if (carrierError !== undefined) return carrierError;
        return connectionError(failure, { destination, waitingFor: progress.waitingFor });
      })
      .then(lost.resolve, lost.resolve);
    lost.promise.then(ready.reject, ready.reject);
  };
  const endWith = (error: NexcageError): void => {
    ours ??= error;
    end();
  };

  // For ever: ssh2 emits `error` up to three times in one failure, and at any time after `ready`.
  client.on("error", (error: Failure) => {
    if (error.level === "agent") return; // a key that did not sign: the next one is tried
    failure ??= error;
    end();
  });
  client.on("end", end).on("close", end); // alone, after a greeting: ssh2 has no error for that
  client.on("connect", () => {
    progress.waitingFor = "greeting";
  });
  // Once: each new exchange of keys on a connection that is up emits it again.
  client.once("handshake", () => {
    progress.waitingFor = "login";
  });
  client.on("ready", ready.resolve);

  const timer = setTimeout(
    () => endWith(timeoutError(destination, progress.waitingFor)),
    destination.connectTimeoutMs,
  );
  const abort = (): void => endWith(asNexcageError(signal.reason));
  signal.addEventListener("abort", abort, { once: true });
  try {
    signal.throwIfAborted();
    client.connect({
      sock: socket,
      username: destination.user,
      readyTimeout: 0, // ours, above, tells what it waited for
      // Pings only; see watchForSilence for what counts.
      keepaliveInterval: 1_000,
      keepaliveCountMax: Number.MAX_SAFE_INTEGER,
      algorithms: { serverHostKey: hostKeyAlgorithms as ServerHostKeys },
      authHandler: logIn(keys.identities, destination.user, (methods) => {
        allowed = methods;
      }),
      // Must return undefined: ssh2 takes a promise for a yes.
      hostVerifier: (key: Buffer, verify: (trusted: boolean) => void) => {
        judge(key).then(
          (verdict) => {
            if (ended) return;
            if (verdict.kind === "refused") ours ??= verdict.error;
            verify(verdict.kind !== "refused");
          },
          (error: unknown) => endWith(asNexcageError(error)),
        );
      },
    });
    await ready.promise;
  } catch (cause) {
    if (!ended) endWith(asNexcageError(cause)); // thrown by ssh2, or aborted before it began
    const error = await lost.promise;
    const dropped = ours === undefined && beforeGreeting(progress.waitingFor) && isDrop(failure);
    if (dropped) return { kind: "dropped", error };
    signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
  progress.waitingFor = "end";
  const watch = watchForSilence(socket, () => endWith(silenceError(destination)));
  lost.promise.then(() => watch[Symbol.dispose]()).catch(() => {});
  return { kind: "open", value: new Connection(client, { socket, destination, lost: lost.promise }) };
}

/** ssh2's type for the names of host key algorithms; `hostKeyAlgorithms` gives no other. */
type ServerHostKeys = NonNullable<
  NonNullable<Parameters<ssh2.Client["connect"]>[0]["algorithms"]>["serverHostKey"]
>;

/** A reset may come before Node has seen that it was connected. */
function beforeGreeting(waitingFor: WaitingFor): boolean {
  return waitingFor === "connection" || waitingFor === "greeting";
}

/** What an earlier hop died of, where it has. */
async function carrierLoss(carrier: Connection | undefined): Promise<NexcageError | undefined> {
  return carrier === undefined ? undefined : await Promise.race([carrier.lost, Promise.resolve(undefined)]);
}

/**
 * All keys in our order, as if one agent held them. Then `none`: ssh2 keeps to itself what the server still
 * allows after an agent's keys were refused, and tells it after this.
 */
function logIn(
  identities: Identity[],
  username: string,
  onAllowed: (methods: string[]) => void,
): ssh2.AuthHandlerMiddleware {
  const turns: ssh2.AnyAuthMethod[] = [
    { type: "agent", username, agent: new Signer(identities) },
    { type: "none", username },
  ];
  return (allowed: string[] | null) => {
    if (allowed !== null) onAllowed(allowed);
    return turns.shift() ?? false;
  };
}

class Signer extends ssh2.BaseAgent<ParsedKey | Buffer> {
  readonly #identities: Identity[];

  constructor(identities: Identity[]) {
    super();
    this.#identities = identities;
  }

  override getIdentities(callback: (error: Error | undefined, keys?: Buffer[]) => void): void {
    callback(
      undefined,
      this.#identities.map(({ publicKey }) => publicKey),
    );
  }

  override sign(
    key: ParsedKey | Buffer,
    data: Buffer,
    options: SigningRequestOptions | SignCallback,
    callback?: SignCallback,
  ): void {
    const done = callback ?? (typeof options === "function" ? options : () => {});
    const hash = typeof options === "function" ? undefined : options.hash;
    const publicKey = Buffer.isBuffer(key) ? key : key.getPublicSSH();
    const identity = this.#identities.find((known) => known.publicKey.equals(publicKey));
    if (identity === undefined) {
      done(new NexcageError("INTERNAL", "asked to sign with a key that was not offered"));
      return;
    }
    identity.sign(data, hash).then(
      (signature) => done(undefined, signature),
      (error: unknown) => done(asNexcageError(error)),
    );
  }
}
