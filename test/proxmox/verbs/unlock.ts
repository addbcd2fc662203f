import { readConf, writeConf } from "../cluster.ts";
import { Failure } from "../failure.ts";
import { withGuestLock } from "../locks.ts";
import { guestGrammar, type Verb } from "../verb.ts";

/** Removes any `lock:` word, whoever set it. */
export const unlock: Verb = {
  grammar: guestGrammar("unlock"),
  async run({ vmid }) {
    await withGuestLock(vmid, async () => {
      const conf = readConf(vmid);
      if (!conf.values.delete("lock")) throw new Failure("no lock found trying to remove any lock");
      await writeConf(vmid, conf);
    });
    return 0;
  },
};
