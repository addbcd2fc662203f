import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import * as z from "zod";

export const chromium = "/usr/bin/chromium";

const Message = z.object({
  id: z.int().optional(),
  method: z.string().optional(),
  sessionId: z.string().optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.object({ message: z.string() }).optional(),
});

/** A page in a browser without a window. */
export type Page = AsyncDisposable & {
  /** What an expression comes to, as JSON has it. */
  evaluate(expression: string): Promise<unknown>;
  /** How large the window is, and which colours its user likes. */
  look(options: { width: number; height: number; scheme: "light" | "dark" }): Promise<void>;
  /** The address of each thing that it has asked for, its own first. */
  requests: string[];
};

/** Opens a page in Debian's Chromium, which is driven over a pipe by its own protocol. */
export async function openPage(address: string): Promise<Page> {
  const profile = await mkdtemp(join(tmpdir(), "nexcage-browser-"));
  const options = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-pipe",
    "--no-first-run",
  ];
  const child = spawn(chromium, [...options, `--user-data-dir=${profile}`], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, HOME: profile },
  });
  const exited = once(child, "exit");
  const [, , , toBrowser, fromBrowser] = child.stdio as unknown as [null, null, null, Writable, Readable];
  const waiting = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  const requests: string[] = [];
  const loaded = Promise.withResolvers<void>();
  let session: string | undefined;
  let pending = "";
  fromBrowser.setEncoding("utf8").on("data", (text: string) => {
    const parts = (pending + text).split("\0");
    pending = parts.pop() ?? "";
    for (const part of parts) {
      const { id, method, params, result, error } = Message.parse(JSON.parse(part));
      if (id !== undefined && error !== undefined) waiting.get(id)?.reject(new Error(error.message));
      else if (id !== undefined) waiting.get(id)?.resolve(result ?? {});
      const request = z.object({ request: z.object({ url: z.string() }) }).safeParse(params);
      if (method === "Network.requestWillBeSent" && request.success) requests.push(request.data.request.url);
      if (method === "Page.loadEventFired") loaded.resolve();
    }
  });
  let last = 0;
  const ask = async (method: string, params: object = {}): Promise<Record<string, unknown>> => {
    last += 1;
    const answer = Promise.withResolvers<Record<string, unknown>>();
    waiting.set(last, answer);
    toBrowser.write(
      `${JSON.stringify({ id: last, method, params, ...(session && { sessionId: session }) })}\0`,
    );
    return await answer.promise;
  };
  const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
  const attached = await ask("Target.attachToTarget", { targetId, flatten: true });
  session = z.string().parse(attached.sessionId);
  for (const domain of ["Page", "Network", "Runtime"]) await ask(`${domain}.enable`);
  await ask("Page.navigate", { url: address });
  await loaded.promise;
  return {
    requests,
    async evaluate(expression) {
      const { result } = await ask("Runtime.evaluate", { expression, returnByValue: true });
      return z.object({ value: z.unknown() }).parse(result).value;
    },
    async look({ width, height, scheme }) {
      const size = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
      await ask("Emulation.setDeviceMetricsOverride", size);
      const features = [{ name: "prefers-color-scheme", value: scheme }];
      await ask("Emulation.setEmulatedMedia", { features });
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
