/*
 * The least that a tool of this kind can do: floor.ts FLOOR.json opens one connection per host and starts an
 * empty Node program on each, waits for all of them to end, and ends. No inventory, no protocol, no plan.
 */
import { readFileSync } from "node:fs";
import ssh2 from "ssh2";

/** What the program is told in its file. */
export type FloorOptions = {
  addresses: string[];
  /** Private key that logs in as root. */
  key: string;
  /** Public keys of the hosts, by address, as they come over the wire, in base64. */
  hostKeys: Record<string, string>;
  command: string;
};

const [, , file = ""] = process.argv;
const options: FloorOptions = JSON.parse(readFileSync(file, "utf8"));

Promise.all(options.addresses.map(visit)).catch((error: unknown) => {
  process.exitCode = 1;
  console.error(error);
});

function visit(address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    client.on("error", reject);
    client.on("close", resolve);
    client.on("ready", () => {
      client.exec(options.command, (error, channel) => {
        if (error) {
          reject(error);
          return;
        }
        channel.resume();
        channel.on("exit", (code: number) => {
          if (code === 0) client.end();
          else reject(new Error(`${address}: ${options.command} ended with ${code}`));
        });
      });
    });
    client.connect({
      host: address,
      username: "root",
      privateKey: options.key,
      hostVerifier: (key: Buffer) => key.toString("base64") === options.hostKeys[address],
    });
  });
}
