// OCI archives as templates, from PVE 9.1 on (the recorded facts, "env, entrypoint, lxc.* , OCI archives").
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { Conf } from "./conf.ts";
import { Failure } from "./failure.ts";
import { completeNet } from "./networks.ts";
import { quote, runAnyway } from "./run.ts";

const Blob = z.object({ digest: z.string() });
const Index = z.object({ manifests: z.array(Blob).min(1) });
const Manifest = z.object({ config: Blob, layers: z.array(Blob) });
const ImageConfig = z.object({
  config: z
    .object({
      Entrypoint: z.array(z.string()).nullish(),
      Cmd: z.array(z.string()).nullish(),
      Env: z.array(z.string()).nullish(),
      User: z.string().optional(),
      WorkingDir: z.string().optional(),
      StopSignal: z.string().optional(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
    })
    .default({}),
});
export type Image = z.infer<typeof ImageConfig>["config"];

/** A tar that nothing is compressed around, with `oci-layout` in it. */
export function isOciArchive(archive: string): boolean {
  if (!archive.endsWith(".tar")) return false;
  const names = execFileSync("tar", ["-tf", archive], { encoding: "utf8" }).split("\n");
  return names.some((name) => /^(\.\/)?oci-layout$/.test(name));
}

/** Unpacks the layers in turn, by `tar` and its arguments; what the image says of its containers. @throws {Failure} */
export async function unpackOci(
  archive: string,
  { root, tar, signal }: { root: string; tar: readonly string[]; signal: AbortSignal },
): Promise<Image> {
  process.stdout.write("Detected OCI archive\n");
  const work = mkdtempSync("/var/tmp/oci-");
  try {
    execFileSync("tar", ["-xf", archive, "-C", work]);
    const blob = ({ digest }: z.infer<typeof Blob>): string => join(work, "blobs", digest.replace(":", "/"));
    const read = <T>(schema: z.ZodType<T>, file: string): T =>
      schema.parse(JSON.parse(readFileSync(file, "utf8")));
    const [first] = read(Index, join(work, "index.json")).manifests;
    if (first === undefined) throw new Failure("no manifest");
    const { config, layers } = read(Manifest, blob(first));
    const [program = "tar", ...args] = tar;
    for (const layer of layers) {
      const { code } = await runAnyway(program, args, { stdin: openSync(blob(layer), "r"), signal });
      if (code !== 0) throw new Failure(`command '${quote(tar)}' failed: exit code ${code}`);
    }
    const image = read(ImageConfig, blob(config)).config;
    const { uid, gid } = statSync(root);
    for (const path of Object.keys(image.Volumes ?? {})) {
      process.stdout.write(`creating base directory for volume at ${path}\n`);
      execFileSync("install", ["-d", "-o", String(uid), "-g", String(gid), join(root, path)]);
    }
    return image;
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** What an image says, over what create was asked for. */
export function takeImage(conf: Conf, image: Image, root: string): void {
  const words = [...(image.Entrypoint ?? []), ...(image.Cmd ?? [])];
  if (words.length > 0) conf.values.set("entrypoint", quote(words));
  if (image.Env) conf.values.set("env", image.Env.join("\0"));
  conf.values.set("cmode", "console");
  const { uid, gid, groups } = userOf(image.User ?? "", root);
  const lines: [string, string | undefined][] = [
    ["lxc.init.uid", uid],
    ["lxc.init.gid", gid],
    ["lxc.init.groups", groups],
    ["lxc.init.cwd", image.WorkingDir || undefined],
    ["lxc.signal.halt", image.StopSignal ?? "SIGTERM"],
  ];
  for (const [key, value] of lines) if (value !== undefined) conf.lxc.push([key, value]);
  if (words[0] === "/sbin/init") return;
  for (const [key, value] of conf.values) {
    if (!/^net\d+$/.test(key) || /host-managed=/.test(value)) continue;
    process.stdout.write(`Auto-Enabling host-managed network for network device ${key}.\n`);
    conf.values.set(key, completeNet(key, `${value},host-managed=1`));
  }
}

function userOf(user: string, root: string): { uid?: string; gid?: string; groups?: string } {
  if (user === "") return {};
  const lines = (file: string): string[][] =>
    existsSync(join(root, file))
      ? readFileSync(join(root, file), "utf8")
          .split("\n")
          .map((line) => line.split(":"))
      : [];
  const entry = lines("etc/passwd").find(([name, , uid]) => name === user || uid === user);
  if (entry === undefined) return { uid: user };
  const groups = lines("etc/group").filter(([, , , members = ""]) =>
    members.split(",").includes(entry[0] ?? ""),
  );
  return {
    uid: entry[2] ?? "",
    gid: entry[3] ?? "",
    ...(groups.length > 0 && { groups: groups.map(([, , gid]) => gid).join(" ") }),
  };
}
