import { spawn } from "node:child_process";
import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import ssh2, { type Connection, type ParsedKey } from "ssh2";

/** A host key or a user's key, in OpenSSH's own formats. */
export type KeyPair = { private: string; public: string };

/** Of one key in 256 ssh2 cuts a zero from the start of its public half (1.17), and then cannot read it. */
export function makeKeys(): KeyPair {
  const keys = ssh2.utils.generateKeyPairSync("ed25519");
  return ssh2.utils.parseKey(keys.private) instanceof Error ? makeKeys() : keys;
}

export type EmbeddedSshd = AsyncDisposable & { port: number };

/**
 * An SSH server on loopback inside this process, for machines without one: whoever holds `clientKey` may
 * run one program, whatever it asks for. It proves nothing about a real sshd.
 */
export async function startEmbeddedSshd(options: {
  hostKey: KeyPair;
  clientKey: KeyPair;
  program: string[];
}): Promise<EmbeddedSshd> {
  const { hostKey, clientKey, program } = options;
  const allowed = ssh2.utils.parseKey(clientKey.public);
  if (allowed instanceof Error) throw allowed;
  const connections = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [hostKey.private] }, (connection) => {
    connections.add(connection);
    connection.on("error", () => {});
    connection.on("close", () => connections.delete(connection));
    connection.on("authentication", (context) => {
      if (context.method !== "publickey" || !isKey(context.key.data, allowed)) {
        context.reject(["publickey"]);
        return;
      }
      const { signature, blob } = context;
      if (signature === undefined || blob === undefined)
        context.accept(); // asks whether this key would do
      else if (allowed.verify(blob, signature, context.hashAlgo) === true) context.accept();
      else context.reject(["publickey"]);
    });
    connection.on("session", (accept) => {
      accept().on("exec", (acceptExec) => {
        const channel = acceptExec();
        const [command = "", ...args] = program;
        const child = spawn(command, args, { stdio: "pipe" });
        child.stdin.on("error", () => {});
        channel.pipe(child.stdin);
        child.stdout.pipe(channel, { end: false });
        child.stderr.pipe(channel.stderr, { end: false });
        child.on("close", (code) => {
          channel.exit(code ?? 1);
          channel.close();
        });
        channel.on("close", () => child.kill());
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server listens on no port");
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.end();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function isKey(data: Buffer, allowed: ParsedKey): boolean {
  const wanted = allowed.getPublicSSH();
  return data.length === wanted.length && timingSafeEqual(data, wanted);
}
