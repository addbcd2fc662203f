import type { Verdict } from "./crun-suite.ts";

/** A test of crun's suite that crun 1.8.1 passes and we do not, and why that is right. */
export type KnownVerdict = { verdict: Verdict; reason: string };

const noDev =
  "it mounts nothing on /dev, so device nodes would be made in the image: refused (CVE-2026-47766)";
const noSystemd =
  "the suite asks --version for +SYSTEMD, and libcrun is built without it; podman's cases hold readiness";

/** As `FILE/TEST`. */
export const knownVerdicts: Record<string, KnownVerdict> = {
  "test_exec.py/exec-add-capability": {
    verdict: "not ok",
    reason: "exec --cap asks for CAP_UNKNOWN by hand, and is told that it is none",
  },
  "test_exec.py/exec_add_no_new_privileges": {
    verdict: "not ok",
    reason: "exec keeps the container's noNewPrivileges, which crun's drops",
  },
  "test_mounts.py/mount-cgroup-without-netns": { verdict: "not ok", reason: noDev },
  "test_mounts.py/mount-ro-cgroup": { verdict: "not ok", reason: noDev },
  "test_start.py/start": { verdict: "not ok", reason: "it reads ROOT/ID/status, a file of crun's own" },
  "test_start.py/sd-notify": { verdict: "skipped", reason: noSystemd },
  "test_start.py/sd-notify-env": { verdict: "skipped", reason: noSystemd },
  "test_start.py/sd-notify-file": { verdict: "skipped", reason: noSystemd },
  "test_start.py/sd-notify-proxy": { verdict: "skipped", reason: noSystemd },
};
