import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as z from "zod";
import { hasCode, NexcageError } from "../../shared/errors.ts";

const Part = z.object({ file: z.string(), bytes: z.int().positive() });

/** `build.json`: an agent as it is sent to hosts, made by `npm run build`. */
const BuildJson = z.object({
  /** Version and digest, as in `0.1.0-5f3a9c01d2e4`; the name of its folder on a host. */
  build: z.string().regex(/^[0-9A-Za-z.+-]{1,100}$/),
  version: z.string(),
  /** As in `linux-x64`. */
  platform: z.string(),
  /** The oldest glibc that it runs on, as in `2.34`. */
  glibc: z.string().regex(/^\d+\.\d+$/),
  nodeSha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Debian archives: all but Node, and Node. */
  agent: Part,
  node: Part,
});

export type AgentBuild = z.infer<typeof BuildJson> & {
  folder: string;
  /** `SHA256SUMS`: the digests of both archives and of all files in them. */
  sums: Buffer;
  /** `SHA256SUMS.sig`, as `ssh-keygen -Y sign -n nexcage-agent` makes it; empty where there is none. */
  signature: Buffer;
};

/** Beside the bundle in the product, in `dist/` of a clone. */
const places = ["agents", "../../dist/lib/nexcage/agents"].map((path) => join(import.meta.dirname, path));

/**
 * The builds of the agent that came with this nexcage, or the one in a folder of the user's.
 * @throws {NexcageError} `INVALID_FILE` where that folder holds none, `AGENT_MISSING` where none came along
 */
export async function findBuilds(folder: string | undefined): Promise<AgentBuild[]> {
  if (folder !== undefined) return [await readBuild(resolve(folder))];
  for (const place of places) {
    const names = await readdir(place).catch(() => []);
    if (names.length > 0) return await Promise.all(names.sort().map((name) => readBuild(join(place, name))));
  }
  throw new NexcageError("AGENT_MISSING", "this nexcage came without an agent to send", {
    hint: "name a folder with one: --agent DIR; npm run build leaves one in dist/lib/nexcage/agents",
  });
}

async function readBuild(folder: string): Promise<AgentBuild> {
  const invalid = (why: string, cause?: unknown) =>
    new NexcageError("INVALID_FILE", `${folder} holds no build of the agent: ${why}`, {
      hint: "npm run build leaves them in dist/lib/nexcage/agents",
      cause,
    });
  const read = async (name: string): Promise<Buffer> =>
    await readFile(join(folder, name)).catch((error: Error) => {
      throw invalid(error.message, error);
    });
  const parsed = BuildJson.safeParse(parseJson(await read("build.json")));
  const [issue] = parsed.error?.issues ?? [];
  if (!parsed.success) throw invalid(`build.json: ${issue?.path.join(".")} ${issue?.message}`);
  const { build, agent, node } = parsed.data;
  // Half a copy would have the host wait for the rest.
  for (const { file, bytes } of [agent, node]) {
    const { size } = await stat(join(folder, file)).catch((error: Error) => {
      throw invalid(error.message, error);
    });
    if (size !== bytes) throw invalid(`${file} has ${size} bytes, and not ${bytes}`);
  }
  const sums = await read("SHA256SUMS");
  if (!build.endsWith(`-${sha256(sums).slice(0, 12)}`)) throw invalid(`SHA256SUMS is not that of ${build}`);
  const signature = await readFile(join(folder, "SHA256SUMS.sig")).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return Buffer.alloc(0);
    throw error;
  });
  return { ...parsed.data, folder, sums, signature };
}

export function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex");
}

function parseJson(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString());
  } catch {
    return undefined;
  }
}
