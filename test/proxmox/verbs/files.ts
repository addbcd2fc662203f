// push and pull: through the root of the init's process. They end 0 also when they failed.
import { chmodSync, chownSync, copyFileSync, writeFileSync } from "node:fs";
import { findConf } from "../cluster.ts";
import { emptySection } from "../conf.ts";
import { Failure, messageOf } from "../failure.ts";
import { initPid, isRunning } from "../lxc.ts";
import { guestGrammar, text, type Verb } from "../verb.ts";
import { rootId } from "../volumes.ts";

const options = { user: text, group: text, perms: text };

export const push: Verb = {
  grammar: guestGrammar("push", { positionals: { file: text, destination: text }, options }),
  async before({ vmid }) {
    if (!isRunning(vmid)) throw new Failure("can only push files to a running CT");
  },
  task: {
    type: "push_file",
    async run({ vmid, positionals, options: given }) {
      const target = await insideRoot(vmid, positionals.destination ?? "");
      const offset = rootId(findConf(vmid) ?? emptySection());
      attempt(() => {
        copyFileSync(positionals.file ?? "", target);
        chownSync(target, offset + Number(given.get("user") ?? 0), offset + Number(given.get("group") ?? 0));
        chmodSync(target, Number.parseInt(given.get("perms") ?? "0644", 8));
      });
    },
  },
};

export const pull: Verb = {
  grammar: guestGrammar("pull", { positionals: { path: text, destination: text }, options }),
  async before({ vmid }) {
    if (!isRunning(vmid))
      throw new Failure("can only pull files from a running VM at /usr/share/perl5/PVE/CLI/pct.pm line 664.");
  },
  task: {
    type: "pull_file",
    async run({ vmid, positionals, options: given }) {
      const source = await insideRoot(vmid, positionals.path ?? "");
      const target = positionals.destination ?? "";
      attempt(() => {
        writeFileSync(target, "");
        copyFileSync(source, target);
        chmodSync(target, Number.parseInt(given.get("perms") ?? "0644", 8));
      });
    },
  },
};

/** A relative path starts at `/`. */
async function insideRoot(vmid: string, path: string): Promise<string> {
  const pid = await initPid(vmid);
  if (pid === undefined) throw new Failure(`unable to get PID for CT ${vmid} (not running?)`);
  return `/proc/${pid}/root/${path}`;
}

function attempt(copy: () => void): void {
  try {
    copy();
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
  }
}
