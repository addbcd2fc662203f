import type { Duplex } from "node:stream";

const tickMs = 500;
/** Four seconds. With a ping each second a slow upload on a healthy link was silent for 1.6 s at most. */
const maxSilentTicks = 8;

/**
 * Calls `onDead` when nothing has come in for four seconds, while each second a ping asks for an answer. Not
 * ssh2's own count of unanswered pings: they queue behind what is being sent, so a slow upload looks dead.
 * Counts ticks and not time, so that a stopped or busy process does not take its own silence for the host's.
 */
export function watchForSilence(socket: Duplex, onDead: () => void): Disposable {
  let silentTicks = 0;
  const heard = (): void => {
    silentTicks = 0;
  };
  const timer = setInterval(() => {
    silentTicks += 1;
    if (silentTicks <= maxSilentTicks) return;
    stop();
    onDead();
  }, tickMs);
  const stop = (): void => {
    clearInterval(timer);
    socket.off("data", heard);
  };
  socket.on("data", heard);
  return { [Symbol.dispose]: stop };
}
