import { createHash } from "node:crypto";
import { resolve } from "node:path";
import * as z from "zod";
import { hasCode, NexcageError } from "../../shared/errors.ts";
import { agentFolders, type Folder, folderAt } from "./along.ts";

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
  /** Where a part of it can be read. */
  pathOf(part: z.infer<typeof Part>): string;
  /** `SHA256SUMS`: the digests of both archives and of all files in them. */
  sums: Buffer;
  /** `SHA256SUMS.sig`, as `ssh-keygen -Y sign -n nexcage-agent` makes it; empty where there is none. */
  signature: Buffer;
};

/**
 * The builds of the agent that came with this nexcage, or the one in a folder of the user's.
 * @throws {NexcageError} `INVALID_FILE` where that folder holds none, `AGENT_MISSING` where none came along
 */
export async function findBuilds(folder: string | undefined): Promise<AgentBuild[]> {
  if (folder !== undefined) return [await readBuild(folderAt(resolve(folder)))];
  const folders = await agentFolders();
  if (folders.length > 0) return await Promise.all(folders.map(readBuild));
  throw new NexcageError("AGENT_MISSING", "this nexcage came without an agent to send", {
    hint: "name a folder with one: --agent DIR; npm run build leaves one in dist/lib/nexcage/agents",
  });
}

async function readBuild(folder: Folder): Promise<AgentBuild> {
  const invalid = (why: string, cause?: unknown) =>
    new NexcageError("INVALID_FILE", `${folder.path} holds no build of the agent: ${why}`, {
      hint: "npm run build leaves them in dist/lib/nexcage/agents",
      cause,
    });
  const read = async (name: string): Promise<Buffer> =>
    await folder.read(name).catch((error: Error) => {
      throw invalid(error.message, error);
    });
  const parsed = BuildJson.safeParse(parseJson(await read("build.json")));
  const [issue] = parsed.error?.issues ?? [];
  if (!parsed.success) throw invalid(`build.json: ${issue?.path.join(".")} ${issue?.message}`);
  const { build, agent, node } = parsed.data;
  // Half a copy would have the host wait for the rest.
  for (const { file, bytes } of [agent, node]) {
    const size = await folder.size(file).catch((error: Error) => {
      throw invalid(error.message, error);
    });
    if (size !== bytes) throw invalid(`${file} has ${size} bytes, and not ${bytes}`);
  }
  const sums = await read("SHA256SUMS");
  if (!build.endsWith(`-${sha256(sums).slice(0, 12)}`)) throw invalid(`SHA256SUMS is not that of ${build}`);
  const signature = await folder.read("SHA256SUMS.sig").catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return Buffer.alloc(0);
    throw error;
  });
  return { ...parsed.data, pathOf: ({ file }) => folder.pathOf(file), sums, signature };
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
