import { readConf } from "../cluster.ts";
import { Failure } from "../failure.ts";
import { isRunning } from "../lxc.ts";
import { boolean, type Call, guestGrammar, type Verb } from "../verb.ts";

const options = { "keep-env": boolean };

function requireInside(vmid: string): void {
  readConf(vmid);
  if (!isRunning(vmid)) throw new Failure(`container '${vmid}' not running!`);
}

/**
 * Becomes lxc-attach: same process, so the exit code is the command's, and who kills it does not end the command.
 * env(1) first, because Node ignores SIGPIPE and that would be inherited.
 */
function becomeAttach({ vmid, options: given }: Call, command: readonly string[]): never {
  const environment = given.get("keep-env") === "0" ? "--clear-env" : "--keep-env";
  const args = ["env", "--default-signal", "lxc-attach", "-n", vmid, environment];
  process.execve?.("/usr/bin/env", [...args, ...(command.length > 0 ? ["--", ...command] : [])], process.env);
  throw new Failure("this Node cannot become another program");
}

export const exec: Verb = {
  grammar: guestGrammar("exec", { options, takesCommand: true }),
  async run(call) {
    requireInside(call.vmid);
    if (call.command.length === 0)
      throw new Failure("missing command at /usr/share/perl5/PVE/CLI/pct.pm line 246.");
    return becomeAttach(call, call.command);
  },
};

export const enter: Verb = {
  grammar: guestGrammar("enter", { options }),
  async run(call) {
    requireInside(call.vmid);
    return becomeAttach(call, []);
  },
};

export const console_: Verb = {
  grammar: guestGrammar("console", { options: { escape: { type: "string" } } }),
  async run({ vmid }) {
    requireInside(vmid);
    process.execve?.("/usr/bin/env", ["env", "--default-signal", "lxc-console", "-n", vmid], process.env);
    return 255;
  },
};
