import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { readConf, removeConf, requireQuorum, requireUnlocked } from "../cluster.ts";
import type { Conf } from "../conf.ts";
import { Failure } from "../failure.ts";
import { isManaged, removeManaged } from "../ha.ts";
import { reach } from "../knobs.ts";
import { withGuestLock } from "../locks.ts";
import { isRunning, killContainer } from "../lxc.ts";
import { pve } from "../paths.ts";
import { freeVolume, listStorages, listVolumes } from "../storage.ts";
import { boolean, type Call, guestGrammar, type Verb } from "../verb.ts";
import { isOwned, mountPoints } from "../volumes.ts";

export const destroy: Verb = {
  grammar: guestGrammar("destroy", {
    options: { force: boolean, purge: boolean, "destroy-unreferenced-disks": boolean },
  }),
  async before(call) {
    requireDestroyable(call);
    requireQuorum();
  },
  task: {
    type: "vzdestroy",
    async run(call, { signal }) {
      const { vmid, options } = call;
      await withGuestLock(vmid, async () => {
        const conf = requireDestroyable(call);
        if (isRunning(vmid)) {
          process.stdout.write(`forced to stop CT ${vmid} before destroying!\n`);
          await killContainer(vmid, { signal });
        }
        await reach("destroy.early", { vmid, signal });
        const wantsAll = options.get("destroy-unreferenced-disks") === "1";
        const volumes = new Set([...ownVolumes(vmid, conf), ...(wantsAll ? volumesOnDisk(vmid) : [])]);
        for (const volume of volumes) await freeVolume(volume);
        await reach("destroy.volumes", { vmid, signal });
        if (options.get("purge") === "1") {
          process.stdout.write(`purging CT ${vmid} from related configurations..\n`);
          removeManaged(vmid);
        }
        leavePools(vmid);
        await removeConf(vmid);
      });
    },
  },
};

function requireDestroyable({ vmid, options }: Call): Conf {
  const conf = readConf(vmid);
  if (conf.values.get("protection") === "1")
    throw new Failure(`can't remove CT ${vmid} - protection mode enabled`);
  requireUnlocked(conf, { except: ["destroyed"] });
  if (options.get("force") !== "1" && isRunning(vmid))
    throw new Failure(`unable to destroy CT ${vmid} - container is running`);
  if (options.get("purge") !== "1" && isManaged(vmid))
    throw new Failure(`unable to remove CT ${vmid} - used in HA resources and purge parameter not set.`);
  return conf;
}

/** Those of the conf, `unusedN` and what waits in pending too; never a path of the host. */
function ownVolumes(vmid: string, conf: Conf): string[] {
  const unused = [...conf.values].filter(([key]) => /^unused\d+$/.test(key)).map(([, value]) => value);
  const mounted = [conf, conf.pending].flatMap(mountPoints).map(({ volume }) => volume);
  return [...mounted, ...unused].filter((volume) => isOwned(volume, vmid));
}

function volumesOnDisk(vmid: string): string[] {
  return listStorages()
    .filter(({ content }) => content.includes("rootdir"))
    .flatMap(listVolumes)
    .filter((volume) => volume.vmid === vmid)
    .map(({ volid }) => volid);
}

function leavePools(vmid: string): void {
  const file = `${pve}/user.cfg`;
  if (!existsSync(file)) return;
  const before = readFileSync(file, "utf8");
  const after = before.replaceAll(/^(pool:[^:]*:[^:]*:)([^:]*)/gm, (_, head, vmids) =>
    head.concat(
      vmids
        .split(",")
        .filter((each: string) => each !== vmid)
        .join(),
    ),
  );
  if (after !== before) writeFileSync(file, after);
}
