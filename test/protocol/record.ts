/*
 * Records what a build says to itself, for the tests that hold a later one against it:
 *
 *     git worktree add ../older COMMIT && (cd ../older && npm ci && npm run build)
 *     node test/protocol/record.ts ../older
 *
 * Its controller drives its agent on a test host, through a script that keeps both directions.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { makeBed } from "../e2e/bed.ts";
import { type Call, frameReader, type Message, type Recorded, type Session } from "./recorded.ts";

/** Says hello; then without arguments it stays. */
const program = `
.globl _start
_start:
  mov $1, %eax
  mov $1, %edi
  lea text(%rip), %rsi
  mov $6, %edx
  syscall
  cmpq $1, (%rsp)
  jne end
stay:
  mov $34, %eax
  syscall
  jmp stay
end:
  mov $60, %eax
  xor %edi, %edi
  syscall
text: .ascii "hello\\n"
`;

const common = { command: ["/hello"], stop_grace_period: "0s", host: "node1" };
const resources = (memory: string) => ({ resources: { memory, pids: 20 } });
const first = {
  db: { ...common, ...resources("64m") },
  web: { ...common, environment: { ROLE: "web" }, depends_on: ["db"] },
  cache: common,
};
const second = {
  db: { ...common, ...resources("96m") },
  web: { ...common, environment: { ROLE: "api" }, depends_on: ["db"] },
};

const commands: { words: string; containers: Record<string, object> }[] = [
  ...[
    ...["fleet plan", "fleet apply", "fleet apply", "fleet status", "fleet state web"],
    ...["fleet exec web -- /hello again", "fleet logs web"],
  ].map((words) => ({ words, containers: first })),
  ...[
    ...["fleet plan --prune --detailed-exitcode", "fleet apply --prune --yes", "fleet stop db"],
    ...["fleet start db", "fleet restart db", "fleet pause db", "fleet resume db", "fleet kill -s KILL web"],
    ...["fleet apply", "fleet delete db web --yes"],
  ].map((words) => ({ words, containers: second })),
];

function makeImage(): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "nexcage-image-"));
  try {
    const root = join(folder, "root");
    for (const name of ["dev", "etc", "proc", "sys", "tmp"]) mkdirSync(join(root, name), { recursive: true });
    const flags = ["-nostdlib", "-static", "-s", "-Wl,-n,--build-id=none", "-x", "assembler", "-"];
    execFileSync("gcc", [...flags, "-o", join(root, "hello")], { input: program });
    const plain = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=755"];
    return execFileSync("sh", ["-c", 'tar -c -C "$0" "$@" . | gzip -9n', root, ...plain]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The requests in their order, each with its answer and what was told meanwhile. */
function callsOf(sent: Message[], received: Message[]): Call[] {
  const notes = received.flatMap(({ id, method, params = {} }) =>
    id === undefined && method !== undefined ? [{ method, params }] : [],
  );
  return sent.flatMap(({ id, method, params = {} }): Call[] => {
    if (id === undefined || method === undefined) return [];
    const answered = received.find((one) => one.id === id && one.method === undefined);
    if (answered === undefined) throw new Error(`${method} was cut off: run it again`);
    const { result, error } = answered;
    const told = notes.filter(
      (note) =>
        (params.stream !== undefined && method !== "exec/input" && note.params.stream === params.stream) ||
        (params.operationId !== undefined && note.params.operationId === params.operationId),
    );
    const answer = error === undefined ? { result } : { error };
    return [{ method, params, ...answer, ...(told.length > 0 && { told }) }];
  });
}

async function record(older: string): Promise<void> {
  await using bed = await makeBed(["node1"]);
  const kept = join(bed.folder, "kept");
  mkdirSync(kept);
  const agent = join(bed.folder, "agent");
  const at = `${kept}/$(date +%s%N)`;
  const real = `${join(older, "dist/nexcage-agent")} "$@"`;
  writeFileSync(agent, `#!/bin/sh\nat=${at}\ntee $at.sent | ${real} | tee $at.received\n`);
  chmodSync(agent, 0o755);
  const image = makeImage();
  writeFileSync(join(bed.folder, "image.tar.gz"), image);
  await bed.writeInventory({}, { agent: { path: agent }, ssh: sshOf(bed.hosts.dir) });

  const sessions: Session[] = [];
  for (const { words, containers } of commands) {
    await bed.writeFleet(
      Object.fromEntries(
        Object.entries(containers).map(([name, one]) => [name, { rootfs: "./image.tar.gz", ...one }]),
      ),
    );
    const env = { PATH: process.env.PATH ?? "", HOME: join(bed.folder, "home") };
    const options = { cwd: bed.folder, env, extendEnv: false, reject: false, stdin: "ignore" } as const;
    const { exitCode, stdout, stderr } = await execa(join(older, "dist/nexcage"), words.split(" "), options);
    process.stderr.write(`$ nexcage ${words}\n${stdout}\n${stderr}\n`);
    const [name = "", ...more] = new Set(readdirSync(kept).map((file) => file.replace(/\..*/, "")));
    if (more.length > 0 || exitCode === undefined) throw new Error("a command is one session");
    const read = (end: string) => frameReader()(readFileSync(join(kept, `${name}.${end}`)));
    sessions.push({
      words: words.split(" "),
      containers,
      exitCode,
      calls: callsOf(read("sent"), read("received")),
    });
    for (const file of readdirSync(kept)) rmSync(join(kept, file));
  }

  const hello = sessions[0]?.calls[0]?.result as { protocol: string };
  const head: Omit<Recorded, "sessions"> = {
    protocol: hello.protocol,
    commit: execFileSync("git", ["-C", older, "rev-parse", "HEAD"], { encoding: "utf8" }).trim(),
    image: image.toString("base64"),
  };
  const file = join(import.meta.dirname, "recorded", `${hello.protocol}.ndjson`);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, [head, ...sessions].map((line) => `${withoutNames(line)}\n`).join(""));
  process.stderr.write(`wrote ${file}\n`);
}

/** As JSON; the machine that this ran on is nobody's business. */
function withoutNames(value: unknown): string {
  return JSON.stringify(value, (key, one: unknown) => {
    if (key === "kernel") return "6.12.0";
    return key === "holder" ? { ...(one as object), user: "root", host: "workstation", command: "" } : one;
  });
}

const sshOf = (folder: string) => ({
  user: "root",
  identity_file: join(folder, "id_ed25519"),
  known_hosts: join(folder, "known_hosts"),
});

await record(resolve(process.argv[2] ?? "."));
