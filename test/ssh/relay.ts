// A TCP relay between a client and a server, to spoil the way between them.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export type Relay = AsyncDisposable & {
  address: string;
  port: number;
  /** From now on nothing passes in either direction, and nobody is told. */
  cut(): void;
};

/** `bytesPerSecond` bounds what the client sends, with no more than a small buffer in between. */
export async function startRelay(
  to: { address: string; port: number },
  { bytesPerSecond = Number.POSITIVE_INFINITY }: { bytesPerSecond?: number } = {},
): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer({ highWaterMark: 16 * 1024 }, (client) => {
    const onward = connect({ host: to.address, port: to.port });
    for (const socket of [client, onward]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    client.on("data", (chunk) => {
      onward.write(chunk);
      if (!Number.isFinite(bytesPerSecond)) return;
      client.pause();
      sleep((chunk.length / bytesPerSecond) * 1_000).then(
        () => isCut || client.resume(),
        () => {},
      );
    });
    client.on("end", () => onward.end());
    client.on("close", () => isCut || onward.destroy());
    onward.pipe(client);
  });
  let isCut = false;
  const { address, port } = await listen(server);
  return {
    address,
    port,
    cut() {
      isCut = true;
      for (const socket of sockets) socket.unpipe().removeAllListeners("data").pause();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** A server on loopback that does with each connection what a test wants. */
export async function startServer(
  onConnection: (socket: Socket) => void,
): Promise<
  AsyncDisposable & { address: string; port: number; connections: () => number; open: () => number }
> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.resume(); // so that its end is seen
    onConnection(socket);
  });
  return {
    ...(await listen(server)),
    connections: () => connections,
    open: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function listen(server: Server): Promise<{ address: string; port: number }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const at = server.address();
  if (at === null || typeof at === "string") throw new Error("no port");
  return { address: at.address, port: at.port };
}

/** An address that connections cannot reach and are not refused at: whoever tries hears nothing. */
export async function startBlackHole(): Promise<AsyncDisposable & { address: string; port: number }> {
  const script = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
    console.log(this.address().port);
    process.kill(process.pid, "SIGSTOP");
  })`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data");
  const port = Number(line);
  // It accepts nothing, so its queue fills up; after that the kernel answers no more.
  const waiting: Socket[] = [];
  for (let answered = true; answered; ) {
    const socket = connect({ host: "127.0.0.1", port }).on("error", () => {});
    waiting.push(socket);
    const connected = once(socket, "connect").then(() => true);
    answered = await Promise.race([connected, sleep(500, false)]);
  }
  return {
    address: "127.0.0.1",
    port,
    async [Symbol.asyncDispose]() {
      for (const socket of waiting) socket.destroy();
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}
