import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { loadInventory } from "../../controller/inventory/load.ts";

async function folderWith(files: Record<string, string | Uint8Array>) {
  const path = await mkdtemp(join(tmpdir(), "nexcage-files-"));
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const inventory = "apiVersion: nexcage/v1\nkind: Inventory\nhosts:\n  pve1:\n";
const fleet =
  "apiVersion: nexcage/v1\nkind: Fleet\nname: shop\ncontainers:\n  web: {rootfs: ./r, command: [x], environment: {API_TOKEN: t0p}}\n";

const load = (cwd: string, ...files: string[]) =>
  loadInventory({ files, cwd, home: "/home/me", environment: {}, signal: AbortSignal.timeout(10_000) });

const main = join(import.meta.dirname, "../../controller/main.ts");
const nexcage = (cwd: string, ...words: string[]) => execa("node", [main, ...words], { cwd, reject: false });

test("without -f, inventory.yaml and fleet.yaml of the current folder are read", async (t) => {
  await using folder = await folderWith({ "inventory.yaml": inventory, "fleet.yaml": fleet });
  const { hosts, fleet: resolved } = await load(folder.path);
  t.is(hosts.length, 1);
  t.is(resolved?.wanted.length, 1);
});

test("without a fleet.yaml there are hosts and no fleet", async (t) => {
  await using folder = await folderWith({ "inventory.yaml": inventory });
  t.is((await load(folder.path)).fleet, undefined);
});

test("with -f, only what is named is read: several files, several documents in one", async (t) => {
  await using folder = await folderWith({
    "all.yaml": `${inventory}---\n${fleet}`,
    "more.yaml": inventory.replace("pve1", "pve2"),
  });
  const { hosts, fleet: resolved } = await load(folder.path, "all.yaml", "more.yaml");
  t.deepEqual(
    hosts.map(({ name }) => name),
    ["pve1", "pve2"],
  );
  t.is(resolved?.name, "shop");
});

const failing: {
  title: string;
  files: Record<string, string | Uint8Array>;
  ask: string[];
  message: RegExp;
  hint?: string;
}[] = [
  {
    title: "a folder without files says so, and how to name them",
    files: {},
    ask: [],
    message: /^inventory\.yaml does not exist in \/.*$/,
    hint: "name your files: -f FILE",
  },
  {
    title: "a named file that is not there is refused",
    files: {},
    ask: ["nope.yaml"],
    message: /^nope\.yaml does not exist in /,
  },
  {
    title: "a folder is not a file",
    files: {},
    ask: ["."],
    message: /^\. is a folder$/,
    hint: "name the files in it: -f FILE",
  },
  {
    title: "what is not UTF-8 is refused",
    files: { "a.yaml": Uint8Array.of(0x61, 0xff, 0xfe) },
    ask: ["a.yaml"],
    message: /^a\.yaml is not UTF-8 text$/,
  },
  {
    title: "a fleet without an inventory is refused",
    files: { "fleet.yaml": fleet },
    ask: ["fleet.yaml"],
    message: /^there is no host in fleet\.yaml$/,
    hint: "a document with kind: Inventory names them under hosts",
  },
  {
    title: "an empty file is refused",
    files: { "a.yaml": "# nothing\n" },
    ask: ["a.yaml"],
    message: /^there is no host in a\.yaml$/,
    hint: "a document with kind: Inventory names them under hosts",
  },
];
for (const { title, files, ask, message, hint } of failing)
  test(title, async (t) => {
    await using folder = await folderWith(files);
    const error = await t.throwsAsync(load(folder.path, ...ask), { code: "INVALID_FILE", message });
    t.like(error, { hint });
  });

test("all mistakes of all files come as one error, a line each, in the order of the files", async (t) => {
  await using folder = await folderWith({
    "inventory.yaml": inventory.replace("pve1:", "pve1: {adress: x, ssh: {port: 0}}"),
    "fleet.yaml": fleet.replace("rootfs", "rotfs"),
  });
  const error = await t.throwsAsync(load(folder.path), { code: "INVALID_FILE" });
  t.deepEqual(error?.message.split("\n"), [
    'fleet.yaml:5:3: either "rootfs" or "bundle" is missing (rootfs: a folder or tar beside this file; bundle: a folder on the host)',
    'fleet.yaml:5:9: "rotfs" is not a field of a container (did you mean "rootfs"?)',
    'inventory.yaml:4:10: "adress" is not a field of a host (did you mean "address"?)',
    "inventory.yaml:4:33: 0 is not a port (1 to 65535)",
  ]);
});

test("inventory check says that all is well, and names a rootfs that is not there", async (t) => {
  await using folder = await folderWith({ "inventory.yaml": inventory, "fleet.yaml": fleet });
  const without = await nexcage(folder.path, "inventory", "check");
  t.is(without.exitCode, 64);
  t.is(without.stderr, `nexcage: fleet.yaml:5:17: rootfs ${folder.path}/r does not exist [INVALID_FILE]`);
  await mkdir(join(folder.path, "r"));
  const { exitCode, stdout, stderr } = await nexcage(folder.path, "inventory", "check");
  t.deepEqual(
    { exitCode, stdout, stderr },
    { exitCode: 0, stdout: "no mistakes: fleet shop, 1 container on 1 of 1 host", stderr: "" },
  );
});

test("inventory check exits 64 with a line for each mistake and no stack trace", async (t) => {
  await using folder = await folderWith({ "inventory.yaml": inventory.replace("hosts", "hsots") });
  const { exitCode, stdout, stderr } = await nexcage(folder.path, "inventory", "check");
  t.is(exitCode, 64);
  t.is(stdout, "");
  t.is(
    stderr,
    'nexcage: inventory.yaml:1:1: "hosts" is missing\ninventory.yaml:3:1: "hsots" is not a field of an inventory (did you mean "hosts"?) [INVALID_FILE]',
  );
});

test("inventory show prints hosts and containers, and never a value whose name says that it is secret", async (t) => {
  await using folder = await folderWith({ "inventory.yaml": inventory, "fleet.yaml": fleet });
  const { stdout } = await nexcage(folder.path, "inventory", "show");
  t.is(
    stdout,
    [
      "HOST  CONNECTION  BECOME  GROUPS  LABELS",
      "pve1  pve1        none",
      "",
      "fleet shop",
      "",
      "CONTAINER  HOST  SOURCE            AFTER  PLACEMENT".replace(
        "SOURCE            ",
        `SOURCE${" ".repeat(folder.path.length + 5)}`,
      ),
      `web        pve1  rootfs ${folder.path}/r         one of 1 host`,
    ].join("\n"),
  );
  const json = await nexcage(folder.path, "inventory", "show", "-o", "json");
  t.notRegex(json.stdout, /t0p/);
  t.is(JSON.parse(json.stdout).fleet.wanted[0].id, "web");
});

test("inventory explain prints file and line of each value, and refuses a host that is not there", async (t) => {
  await using folder = await folderWith({
    "inventory.yaml": `${inventory.replace("pve1:", "pve1: {ssh: {user: me}}")}`,
  });
  const { stdout } = await nexcage(folder.path, "inventory", "explain", "pve1");
  t.regex(stdout, /^ssh\.user +me +host pve1, inventory\.yaml:4:22$/m);
  t.regex(stdout, /^ssh\.connect_timeout +10s +built in$/m);
  const unknown = await nexcage(folder.path, "inventory", "explain", "pev1");
  t.is(unknown.exitCode, 64);
  t.is(unknown.stderr, 'nexcage: there is no host "pev1" [SELECTION_EMPTY]\n  hint: did you mean "pve1"?');
});

test("schema prints what stands under inventory/schema", async (t) => {
  const { stdout } = await nexcage(tmpdir(), "schema", "fleet");
  const file = join(import.meta.dirname, "../../inventory/schema/fleet.v1.json");
  t.is(`${stdout}\n`, await readFile(file, "utf8"));
});
