import { hasCode, NexcageError } from "../../shared/errors.ts";
import type { Destination } from "./destination.ts";
import type { Identities } from "./key-ring.ts";

/*
 * ssh2's errors as ours. It tells them apart by `level` and by text; both are as of ssh2 1.17.
 */

/** What ssh2 says of a connection that failed, or none where it ended in silence. */
export type Failure = Error & { level?: string };

/** What a connection has not reached yet; `end` when it is up. */
export type WaitingFor = "connection" | "greeting" | "login" | "end";

/**
 * True where an sshd closed a connection before it said a word, as it does while too many others are not
 * authenticated yet (`MaxStartups`): the one failure that is worth another try.
 */
export function isDrop(failure: Failure | undefined): boolean {
  if (failure === undefined) return false;
  if (failure.message === "Connection lost before handshake") return true;
  return hasCode(failure, "ECONNRESET");
}

export function connectionError(
  failure: Failure | undefined,
  { destination, waitingFor }: { destination: Destination; waitingFor: WaitingFor },
): NexcageError {
  const at = place(destination);
  if (waitingFor === "end")
    return new NexcageError(
      "CONNECTION_LOST",
      `the connection to ${at} was lost${failure ? `: ${failure.message}` : ""}`,
      {
        hint: "run it again: what was in flight is finished or undone first",
        cause: failure,
      },
    );
  const unreachable = (what: string, hint: string): NexcageError =>
    new NexcageError("HOST_UNREACHABLE", `cannot reach ${at}: ${what}`, { hint, cause: failure });
  const byHand = `by hand: ${sshCommand(destination)} true`;
  if (failure === undefined) return unreachable("sshd closed the connection while it was set up", byHand);
  if (hasCode(failure, "ECONNREFUSED"))
    return unreachable("connection refused", "is sshd running there, on this port?");
  if (hasCode(failure, "EHOSTUNREACH", "ENETUNREACH"))
    return unreachable("no route to it", `is it up, and the network to it? ping ${destination.address}`);
  if (hasCode(failure, "EAI_AGAIN", "ENOTFOUND", "EAI_NODATA"))
    return unreachable("its name has no address", `getent hosts ${destination.address}`);
  if (hasCode(failure, "ETIMEDOUT")) return unreachable("no answer", `is it up? ping ${destination.address}`);
  if (isDrop(failure))
    return unreachable(
      "it closes connections before it says what it is",
      "is it an sshd, and are its MaxStartups or PerSourcePenalties used up? its log says (journalctl -u ssh)",
    );
  if (failure.message.startsWith("Invalid identification string"))
    return unreachable("what answers there speaks no SSH 2", "is it an sshd, on this port?");
  if (failure.message.startsWith("Handshake failed: no matching"))
    return unreachable(
      failure.message.replace("Handshake failed: ", "").replace("C->S ", "").replace("S->C ", ""),
      "allow a modern algorithm in its sshd_config",
    );
  return unreachable(failure.message, byHand);
}

export function timeoutError(destination: Destination, waitingFor: WaitingFor): NexcageError {
  const seconds = destination.connectTimeoutMs / 1_000;
  return new NexcageError(
    "HOST_UNREACHABLE",
    `cannot reach ${place(destination)}: no ${waitingFor} within ${seconds} s`,
    {
      hint:
        waitingFor === "connection"
          ? `is it up, and the network to it? ping ${destination.address}`
          : "is it an sshd, on this port? a slow one needs a longer connect_timeout",
    },
  );
}

export function silenceError(destination: Destination): NexcageError {
  return new NexcageError(
    "CONNECTION_LOST",
    `${place(destination)} has not answered for 4 s: the link is dead`,
    {
      hint: "run it again when it is back: what was in flight is finished or undone first",
    },
  );
}

/** True where the host is there and its key is right, and no login came of it. */
export function isLoginFailure(failure: Failure | undefined): failure is Failure {
  if (failure === undefined) return false;
  return failure.level === "client-authentication" || tooManyFailures.test(failure.message);
}

const tooManyFailures = /too many authentication failures/i;

/** No key was taken. Keys that could not be tried at all say more than those that were refused. */
export function loginError(
  destination: Destination,
  keys: Identities,
  { allowed = [], failure }: { allowed?: string[]; failure?: Failure } = {},
): NexcageError {
  const { identities, passedOver, unsupported } = keys;
  const tried = identities.map(({ label }) => label);
  const message = [
    tried.length > 0
      ? `${place(destination)} takes none of the keys that were tried: ${tried.join(", ")}`
      : `there is no key to log in to ${place(destination)} with`,
    ...(unsupported.length > 0 ? [`${unsupported.join(", ")}, which nexcage cannot use`] : []),
    ...passedOver,
  ].join("; ");
  const details = { tried, passedOver, unsupported, allowed };
  if (unsupported.length > 0)
    return new NexcageError("KEY_UNSUPPORTED", message, {
      hint: `use a plain ed25519 key: ssh-keygen -t ed25519, ${copyId(destination)}, identity_file: in the inventory`,
      details,
    });
  if (tooManyFailures.test(failure?.message ?? ""))
    return new NexcageError("AUTH_FAILED", `${message}; ${destination.name} allows no more tries`, {
      hint: "name the right one (identity_file: in the inventory) and set identities_only: true",
      details,
    });
  if (allowed.length > 0 && !allowed.includes("publickey"))
    return new NexcageError("AUTH_FAILED", message, {
      hint: `its sshd wants ${allowed.join(" or ")}: allow PubkeyAuthentication there`,
      details,
    });
  return new NexcageError("AUTH_FAILED", message, {
    hint: tried.length > 0 ? copyId(destination) : `ssh-keygen -t ed25519, then ${copyId(destination)}`,
    details,
  });
}

function copyId(destination: Destination): string {
  return sshCommand(destination).replace(/^ssh/, "ssh-copy-id");
}

function sshCommand({ user, address, port }: Destination): string {
  return `ssh ${port === 22 ? "" : `-p ${port} `}${user}@${address}`;
}

/** `pve1 (deploy@10.20.0.11:2222)`. */
function place({ name, user, address, port }: Destination): string {
  const host = address.includes(":") ? `[${address}]` : address;
  return `${name} (${user}@${host}${port === 22 ? "" : `:${port}`})`;
}
