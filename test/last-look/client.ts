import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { protocolVersion } from "../../shared/protocol.ts";
import { frame, frameReader, type Message } from "../protocol/recorded.ts";

/** One session with an agent, byte by byte where that is the point. */
export type Client = {
  process: ChildProcessWithoutNullStreams;
  /** Sends a request and waits for its answer; what is no answer of it is an error. */
  ask(method: string, params?: object): Promise<unknown>;
  write(bytes: string): void;
  /** The answer under an id, as soon as it is there. */
  answer(id: number): Promise<Message>;
  /** Closes the session, and waits for the program's end. */
  close(): Promise<{ exitCode: number | null; stderr: string }>;
};

export const hello = { protocol: protocolVersion, controllerVersion: "0.1.0" };

export function openClient(command: string, args: string[]): Client {
  const process = spawn(command, args, { stdio: "pipe" });
  const exited = once(process, "close");
  const read = frameReader();
  const answers = new Map<number, Message>();
  const waiting = new Map<number, (message: Message) => void>();
  let stderr = "";
  process.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  process.stdin.on("error", () => {}); // it ended before it had read all
  process.stdout.on("data", (bytes: Buffer) => {
    for (const message of read(bytes)) {
      if (message.id === undefined) continue;
      answers.set(message.id, message);
      waiting.get(message.id)?.(message);
    }
  });
  let lastId = -1;
  const answer = async (id: number): Promise<Message> => {
    const known = answers.get(id);
    if (known !== undefined) return known;
    const { promise, resolve } = Promise.withResolvers<Message>();
    waiting.set(id, resolve);
    const ended = exited.then(() => {
      throw new Error(`the agent ended before it answered: ${stderr}`);
    });
    return await Promise.race([promise, ended]);
  };
  const write = (bytes: string): void => {
    process.stdin.write(bytes);
  };
  return {
    process,
    answer,
    write,
    async ask(method, params = {}) {
      lastId += 1;
      write(frame({ id: lastId, method, params }));
      const { result, error } = await answer(lastId);
      if (error !== undefined) throw new Error(`${method}: ${error.message}`);
      return result;
    },
    async close() {
      process.stdin.end();
      const [exitCode] = await exited;
      return { exitCode, stderr };
    },
  };
}
