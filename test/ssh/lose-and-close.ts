// lose-and-close.ts HOME KEY ADDRESS PORT PROXY_JUMP: connects, says so, and closes what it has lost.
import { connector } from "../../controller/ssh/connect.ts";
import { sshHost } from "./sshd.ts";

const [home = "", key = "", address = "", port = "", proxyJump = ""] = process.argv.slice(2);
const host = sshHost({ address, port: Number(port) }, { identityFiles: [key], proxyJump });
const signal = AbortSignal.timeout(60_000);
const transport = await connector({ hosts: [host], home, environment: {} })(host, { signal });
const channel = await transport.openAgent(["cat"], { signal });
console.log("connected");
await channel.exited;
await transport[Symbol.asyncDispose]();
console.log("closed");
