import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { NexcageError } from "../../shared/errors.ts";
import { untilAborted } from "../abort.ts";
import type { Connection } from "./connection.ts";
import type { Destination } from "./destination.ts";
import { loginError } from "./errors.ts";
import { handshake } from "./handshake.ts";
import { Handshakes } from "./handshakes.ts";
import { algorithmsOf, hostKeyAlgorithms } from "./host-key.ts";
import type { Identities, KeyRing } from "./key-ring.ts";
import { keyType, knownHostName } from "./known-hosts.ts";
import type { KnownHostsFiles } from "./known-hosts-files.ts";

type Waiting = { signal: AbortSignal };

/** The jump hosts in order, then the host. */
export type Route = [...Destination[], Destination];

/** A connection that others go through, while anyone needs it. */
type Jump = { connection: Promise<Connection>; users: number; stop: AbortController };

/** Opens connections, all of one command: they share jump hosts, keys, and what an sshd bears at once. */
export class Routes {
  readonly #keys: KeyRing;
  readonly #knownHosts: KnownHostsFiles;
  readonly #handshakes = new Handshakes();
  readonly #jumps = new Map<string, Jump>();

  constructor({ keys, knownHosts }: { keys: KeyRing; knownHosts: KnownHostsFiles }) {
    this.#keys = keys;
    this.#knownHosts = knownHosts;
  }

  /**
   * Connects to the end of a route, with each hop's key verified.
   * @throws {NexcageError} `HOST_UNREACHABLE`, `HOST_KEY_…`, `AUTH_FAILED`, `KEY_UNSUPPORTED`
   */
  async connect(route: Route, { signal }: Waiting): Promise<Connection> {
    const destination = endOf(route);
    const keys = await this.#keys.identitiesFor(destination, { signal });
    if (keys.identities.length === 0) throw loginError(destination, keys);
    const before = route.slice(0, -1);
    const last = before.pop();
    if (last === undefined) return await this.#shake(route, { keys, carrier: undefined, signal });

    await using undo = new AsyncDisposableStack();
    const jump = undo.adopt(await this.#useJump([...before, last], { signal }), ({ release }) => release());
    const connection = await this.#shake(route, { keys, carrier: jump.connection, signal });
    const { release } = jump;
    connection.lost.then(release, release);
    undo.move();
    return connection;
  }

  async #shake(
    route: Route,
    { keys, carrier, signal }: Waiting & { keys: Identities; carrier: Connection | undefined },
  ): Promise<Connection> {
    const destination = endOf(route);
    const { name, address, port, hostKeyAlias, hostKeyPin, hostKeyChecking, knownHostsFiles } = destination;
    const names: [string, ...string[]] =
      hostKeyAlias === undefined
        ? [knownHostName(address, port), knownHostName(address, 22)]
        : [hostKeyAlias.toLowerCase()];
    const known = await this.#knownHosts.read(knownHostsFiles);
    const policy = {
      host: name,
      names,
      pin: hostKeyPin,
      checking: hostKeyChecking,
      file: knownHostsFiles[0],
    };
    const sshd = route.map(({ address, port }) => `[${address}]:${port}`).join(" ");
    let algorithms = hostKeyAlgorithms({ ...policy, known });
    let shown: string[] = [];
    const attempt = async () =>
      await handshake(await (carrier?.forward(destination, { signal }) ?? dial(destination)), {
        destination,
        keys,
        hostKeyAlgorithms: algorithms,
        carrier,
        signal,
        judge: (key) => {
          shown = algorithmsOf(keyType(key));
          return this.#knownHosts.judge(key, policy, knownHostsFiles);
        },
      });
    let refusal: NexcageError | undefined;
    for (;;) {
      try {
        return await this.#handshakes.run(sshd, attempt, { signal });
      } catch (error) {
        // A host shows one key at a time, and a pin does not tell of which type its key is.
        if (hostKeyPin === undefined || !isMismatch(error)) throw refusal ?? error;
        refusal ??= error;
        algorithms = algorithms.filter((name) => !shown.includes(name));
        if (algorithms.length === 0) throw refusal;
      }
    }
  }

  /** A jump host's connection, opened by the first that needs it and closed by the last. */
  async #useJump(
    route: Route,
    { signal }: Waiting,
  ): Promise<{ connection: Connection; release: () => Promise<void> }> {
    const name = route.map(({ user, address, port }) => `${user}@[${address}]:${port}`).join(" ");
    const jump = this.#jumps.get(name) ?? this.#openJump(name, route);
    jump.users += 1;
    let released = false;
    const release = async (): Promise<void> => {
      if (released) return;
      released = true;
      jump.users -= 1;
      if (jump.users > 0) return;
      if (this.#jumps.get(name) === jump) this.#jumps.delete(name);
      jump.stop.abort();
      await jump.connection.then((connection) => connection[Symbol.asyncDispose]()).catch(() => {});
    };
    try {
      return { connection: await untilAborted(jump.connection, signal), release };
    } catch (error) {
      await release();
      throw error;
    }
  }

  #openJump(name: string, route: Route): Jump {
    // A signal of its own: who opened it may give up while others wait for it.
    const stop = new AbortController();
    const connection = this.connect(route, { signal: stop.signal });
    const jump: Jump = { connection, users: 0, stop };
    this.#jumps.set(name, jump);
    const forget = (): void => {
      if (this.#jumps.get(name) === jump) this.#jumps.delete(name);
    };
    connection.then((opened) => opened.lost.then(forget, forget), forget);
    return jump;
  }
}

function isMismatch(error: unknown): error is NexcageError {
  return error instanceof NexcageError && error.code === "HOST_KEY_CHANGED";
}

function endOf(route: Route): Destination {
  const last = route.at(-1);
  if (last === undefined) throw new NexcageError("INTERNAL", "a route has an end");
  return last;
}

/** Not waited for: the handshake's time limit counts from here. */
function dial({ address, port }: Destination): Duplex {
  return connect({ host: address, port, noDelay: true });
}
