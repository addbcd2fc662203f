import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { execa } from "execa";
import { lazy } from "../../agent/lazy.ts";
import { dist } from "../dist.ts";
import type { Bed } from "../e2e/bed.ts";
import { proxmoxTest } from "../e2e/host-test.ts";
import { waitFor } from "../hosts/wait.ts";
import { makeProxmox, onHost, small } from "./bed.ts";

/* What `fleet exec` promises, on each backend the same. */

const runtimes = ["lxc", "crun", "runc"] as const;

const haveAll = lazy(async () => {
  const bed = await makeProxmox();
  const web = { rootfs: "./rootfs", host: "pve1", command: ["sleep", "1000"], stop_grace_period: "0s" };
  await bed.writeFleet({
    lxc: { ...web, runtime: "lxc", proxmox: small },
    crun: web,
    runc: { ...web, runtime: "runc" },
  });
  const { exitCode, stdout } = await bed.nexcage("fleet", "apply");
  if (exitCode !== 0) throw new Error(stdout);
  return bed;
});
test.after.always(() => haveAll[Symbol.asyncDispose]());

/** In the bed's folder a shell, in which `nexcage` is the built one. */
function shell(bed: Bed, script: string) {
  return execa("sh", ["-c", script], {
    cwd: bed.folder,
    env: { PATH: `${dist}:${process.env.PATH}`, HOME: join(bed.folder, "home"), LANG: "C.UTF-8" },
    extendEnv: false,
    reject: false,
    stdin: "ignore",
    timeout: 30_000,
  });
}

proxmoxTest("exec passes its streams on, and ends as the command does", async (t) => {
  t.timeout(90_000);
  const bed = await haveAll();
  for (const id of runtimes) {
    const exec = async (...words: string[]) => await bed.nexcage("fleet", "exec", ...words);
    const both = await exec(id, "--", "sh", "-c", "echo out; echo err >&2; exit 3");
    t.like(both, { exitCode: 3, stdout: "out", stderr: "err" }, id);
    t.is((await exec(id, "--", "sh", "-c", "kill -KILL $$")).exitCode, 137, id);
    t.is((await exec(id, "--", "/no/such")).exitCode, 127, id);
    t.is((await exec(id, "--", "/etc/passwd")).exitCode, 126, id);
    const words = [
      "-u",
      "web",
      "-w",
      "/tmp",
      "-e",
      "A=b c",
      id,
      "--",
      "sh",
      "-c",
      'id -u; pwd; echo "$A $HOME"',
    ];
    t.is((await exec(...words)).stdout, "1000\n/tmp\nb c /tmp", id);
  }
});

proxmoxTest("exec of 50 MB of binary output is byte-exact", async (t) => {
  t.timeout(90_000);
  const bed = await haveAll();
  for (const id of runtimes) {
    const { exitCode } = await bed.nexcage(
      ...["fleet", "exec", id, "--", "dd", "if=/dev/urandom", "of=/tmp/big", "bs=1M", "count=50"],
    );
    t.is(exitCode, 0);
    const { pid } = JSON.parse((await bed.nexcage("fleet", "state", id)).stdout);
    const inside = await onHost(bed, `sha256sum </proc/${pid}/root/tmp/big`);
    const { stdout } = await shell(bed, `nexcage fleet exec ${id} -- cat /tmp/big | sha256sum`);
    t.is(stdout, inside, id);
    await bed.nexcage("fleet", "exec", id, "--", "rm", "/tmp/big");
  }
});

proxmoxTest(
  "exec with a terminal has the user's size, follows it, and ends as the command does",
  async (t) => {
    t.timeout(90_000);
    const bed = await haveAll();
    const inside = `stty size; while [ "$(stty size)" = "33 99" ]; do sleep 0.1; done; stty size; exit 9`;
    for (const id of runtimes) {
      // `script` has a terminal; who sits at it makes it larger once the first size is seen inside.
      const user = `stty rows 33 cols 99
(until grep -q '33 99' seen; do sleep 0.1; done; stty -F /dev/tty rows 40 cols 120) &
exec nexcage fleet exec -t ${id} -- sh -c '${inside}'`;
      await writeFile(join(bed.folder, "user.sh"), user);
      const { exitCode } = await shell(bed, `script --quiet --flush --return --command "sh user.sh" seen`);
      const seen = await readFile(join(bed.folder, "seen"), "utf8");
      t.is(exitCode, 9, seen);
      // Between them, an echo of the end that `script` types where its own stdin has one.
      t.regex(seen, /33 99\r+\n(\r\n)?(\^@)?40 120\r/, id);
      await rm(join(bed.folder, "seen"));
    }
  },
);

proxmoxTest("what is typed at a terminal arrives, is echoed once, and its end is ^D", async (t) => {
  t.timeout(90_000);
  const bed = await haveAll();
  for (const id of runtimes) {
    const { exitCode, stdout } = await shell(
      bed,
      `echo typed | nexcage fleet exec -t ${id} -- sh -c 'cat; exit 4'`,
    );
    t.is(exitCode, 4, id);
    t.is(stdout.replaceAll("\r", "").trim(), "typed\ntyped", id);
  }
});

proxmoxTest("a command that ignores SIGTERM ends with its client, and with its agent", async (t) => {
  t.timeout(180_000);
  const bed = await haveAll();
  const isThere = async (): Promise<boolean> => (await onHost(bed, "pgrep -f '^sleep 987[6]'")) !== "";
  for (const id of runtimes)
    for (const who of ["client", "agent", "by hand"] as const)
      for (const words of [[], ["-t"]]) {
        const command = ["--", "sh", "-c", "trap '' TERM INT HUP; exec sleep 9876"];
        const running =
          who === "by hand"
            ? bed.host("pve1").exec([join(dist, "nexcage-agent"), "exec", ...words, id, ...command])
            : bed.start(["fleet", "exec", ...words, id, ...command]);
        running.catch(() => {});
        await waitFor(async () => (await isThere()) || undefined, { what: "the command", timeoutMs: 20_000 });
        if (who === "client" && "kill" in running) running.kill("SIGKILL");
        else
          await onHost(bed, `pkill -KILL -f '${who === "agent" ? "serve --stdio" : "nexcage-agent.* exec"}'`);
        const isGone = async () => (await isThere()) === false || undefined;
        await waitFor(isGone, { what: `the end of the command (${id}, ${who})`, timeoutMs: 20_000 });
        await running;
        t.pass();
      }
});
