// The stand-in's snapshots against what the real pct was seen to do with a guest on btrfs.
import type { ExecutionContext } from "ava";
import { haveNode, must, nodeTest, pct, shell } from "./node-test.ts";
import { busyboxTemplate } from "./nodes.ts";

haveNode(async () => {
  await must("mkdir", "-p", "/var/lib/vz/btr/images", "/srv/data");
  await shell(
    "printf '\\nbtrfs: btr\\n\\tpath /var/lib/vz/btr\\n\\tcontent rootdir,images\\n' >>/etc/pve/storage.cfg",
  );
  await must("pct", "create", "420", busyboxTemplate, "--rootfs", "btr:0.1", "--memory", "64");
  await must("pct", "create", "421", busyboxTemplate, "--rootfs", "btr:0.1", "--mp0", "/srv/data,mp=/data");
});

async function conf(): Promise<string> {
  return await must("cat", "/etc/pve/lxc/420.conf");
}

/** Each in turn: the words, the exit code, what is on stdout and stderr together. */
async function requireTranscript(
  t: ExecutionContext,
  transcript: [words: string, exit: number, output: string][],
): Promise<void> {
  for (const [words, exit, output] of transcript) {
    const { exitCode, stdout, stderr } = await pct(...words.split(" "));
    t.is(stdout + stderr, output, words);
    t.is(exitCode, exit, words);
  }
}

nodeTest("snapshots are made and removed without a word, and refused with one", async (t) => {
  await requireTranscript(t, [
    ["listsnapshot 420", 0, `${"`-> current".padEnd(56)}You are here!`],
    ["snapshot 421 s1", 255, "snapshot feature is not available"],
    ["snapshot 420 s1 --description first:", 0, ""],
    ["snapshot 420 s1", 255, "snapshot name 's1' already used"],
    ["set 420 --memory 96", 0, ""],
    ["snapshot 420 s2", 0, ""],
    ["delsnapshot 420 nosuch", 255, "snapshot 'nosuch' does not exist"],
    ["rollback 420 nosuch", 255, "snapshot 'nosuch' does not exist"],
  ]);
  t.regex(
    await must("pct", "listsnapshot", "420"),
    /^`-> s1 {26}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {5}first:\n `-> s2 {25}[-\d]{10} [:\d]{8} {5}no-description\n {2}`-> current {43}You are here!$/,
  );
});

nodeTest("the configuration has the parent of now, and of each snapshot what it was then", async (t) => {
  const [now = "", first = "", second = "", ...rest] = (await conf()).split(/\n\n(?=\[)/);
  t.deepEqual(rest, []);
  t.regex(now, /^memory: 96$[\s\S]*^parent: s2$/m);
  t.regex(
    first,
    /^\[s1\]\n#first%3A\narch: amd64\n[\s\S]*^memory: 64$[\s\S]*^rootfs: btr:420\/vm-420-disk-0.raw,size=\w+\nsnaptime: \d{10}$/m,
  );
  t.notRegex(first, /parent/);
  t.regex(second, /^\[s2\]\narch: amd64\n[\s\S]*^memory: 96$[\s\S]*^parent: s1$[\s\S]*^snaptime: \d{10}$/m);
});

nodeTest("a snapshot that is removed leaves its children to its parent", async (t) => {
  await requireTranscript(t, [["delsnapshot 420 s1", 0, ""]]);
  const text = await conf();
  t.notRegex(text, /\[s1\]|parent: s1|^lock|snapstate/m);
  t.is(await shell("find /var/lib/vz/btr -name '*s1*'"), "");
});

nodeTest("a roll back stops what runs, and has its files and its words as they were", async (t) => {
  await requireTranscript(t, [["start 420", 0, ""]]);
  await must("pct", "exec", "420", "--", "sh", "-c", "echo since >/file");
  await requireTranscript(t, [
    ["set 420 --memory 128", 0, ""],
    ["rollback 420 s2", 0, ""],
    ["status 420", 0, "status: stopped"],
  ]);
  t.regex((await conf()).split("\n\n")[0] ?? "", /^memory: 96$[\s\S]*^parent: s2$/m);
  await requireTranscript(t, [
    ["rollback 420 s2 --start 1", 0, ""],
    ["status 420", 0, "status: running"],
    ["exec 420 -- ls /file", 1, "ls: /file: No such file or directory"],
  ]);
});

nodeTest("destroy takes the snapshots' volumes along", async (t) => {
  t.is((await pct("destroy", "420", "--force")).exitCode, 0);
  t.is(await shell("find /var/lib/vz/btr -name '*420*'"), "");
});
