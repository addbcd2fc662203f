/*
 * Sends a signal to a guest's init from inside alone, as the agent does where kill(2) has failed, and prints what
 * each way answered: VMID SIGNAL.
 */
import { commandsInside, killInside, tryInTurn } from "../../agent/backends/lxc/kill.ts";

const [, , vmid = "", signal = ""] = process.argv;

await tryInTurn(
  commandsInside(signal).map((words) => ({
    way: words.join(" "),
    send: async () => await killInside(Number(vmid), words),
  })),
  {
    what: signal,
    hasStopped: () => false,
    log: ({ way, result }) => process.stdout.write(`${way}: ${result}\n`),
  },
).catch((error: Error) => process.stdout.write(`${error.message}\n`));
