import { existsSync } from "node:fs";
import { whyNoHosts } from "../hosts/hosts.ts";
import { reference, underTest } from "./runtimes.ts";

const packages = {
  podman: "/usr/bin/podman",
  conmon: "/usr/bin/conmon",
  containerd: "/usr/bin/containerd",
  crun: reference.path,
  umoci: "/usr/bin/umoci",
  skopeo: "/usr/bin/skopeo",
  "busybox-static": "/bin/busybox",
  catatonit: "/usr/bin/catatonit",
  gcc: "/usr/bin/gcc",
  python3: "/usr/bin/python3",
};

/** Why the clients cannot run here; undefined where they can. */
export function whyNoClients(): string | undefined {
  const missing = Object.entries(packages).filter(([, program]) => !existsSync(program));
  if (missing.length > 0) return `not installed: ${missing.map(([name]) => name).join(" ")}`;
  if (!existsSync(underTest.path)) return `${underTest.path} is not there`;
  return whyNoHosts();
}
