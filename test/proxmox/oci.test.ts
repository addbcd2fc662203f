import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeRootfs } from "../e2e/rootfs.ts";
import { haveNode, must, nodeTest, pct } from "./node-test.ts";
import { makeOciArchive } from "./oci-archive.ts";

/* An OCI archive as a template, as the recorded facts have it. */

haveNode();

nodeTest("create of an OCI archive writes what the image says, over what was asked for", async (t) => {
  const work = await mkdtemp("/var/tmp/nexcage-bed-oci-");
  const rootfs = join(work, "rootfs");
  await makeRootfs(rootfs);
  await writeFile(join(rootfs, "etc/os-release"), "ID=alpine\n");
  await writeFile(join(rootfs, "etc/passwd"), "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n");
  await writeFile(join(rootfs, "etc/group"), "root:x:0:\napp:x:1000:\nmore:x:1001:app\n");
  const config = {
    Entrypoint: ["/bin/sh", "-c"],
    Cmd: ["trap 'exit 0' TERM; echo hello $GREETING; while :; do sleep 1; done"],
    Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "GREETING=hi there"],
    User: "app",
    WorkingDir: "/tmp",
    StopSignal: "SIGINT",
    Volumes: { "/data": {} },
  };
  await makeOciArchive({ rootfs, config, archive: join(work, "bboci.tar") });
  await must("cp", join(work, "bboci.tar"), "/var/lib/vz/template/cache/bboci.tar");
  await rm(work, { recursive: true });

  const asked = ["--entrypoint", "/bin/true", "--env", "A=b"];
  const { exitCode, stdout, stderr } = await pct(
    ...["create", "105", "local:vztmpl/bboci.tar", "--rootfs", "local:1", "--hostname", "oci1", ...asked],
  );
  t.is(exitCode, 0, stderr);
  t.regex(stdout, /^Detected OCI archive$/m);
  t.regex(stdout, /^creating base directory for volume at \/data$/m);
  t.notRegex(stdout, /extracting archive|Total bytes/);
  t.is(
    await must("cat", "/etc/pve/lxc/105.conf"),
    `arch: amd64
cmode: console
entrypoint: /bin/sh -c 'trap '\\''exit 0'\\'' TERM; echo hello $GREETING; while :; do sleep 1; done'
hostname: oci1
memory: 512
ostype: alpine
rootfs: local:105/vm-105-disk-0.raw,size=1G
swap: 512
unprivileged: 1
lxc.environment.runtime: PATH=/usr/sbin:/usr/bin:/sbin:/bin
lxc.environment.runtime: GREETING=hi there
lxc.init.uid: 1000
lxc.init.gid: 1000
lxc.init.groups: 1001
lxc.init.cwd: /tmp
lxc.signal.halt: SIGINT`,
  );
});
