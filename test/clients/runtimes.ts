import { existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { dist } from "../dist.ts";

export type Runtime = {
  name: "crun" | "nexcage-agent";
  path: string;
};

/** What clients run in Debian, and what the other one is held against. */
export const reference: Runtime = { name: "crun", path: "/usr/bin/crun" };

/** The one that is judged; another program may stand in for it, crun itself to see that the cases are steady. */
export const underTest: Runtime = {
  name: "nexcage-agent",
  path: process.env.NEXCAGE_OCI_RUNTIME ?? join(dist, "nexcage-agent"),
};

/** Whether crun is held against itself: then there are no differences that one could know. */
export const isSelfTest =
  existsSync(reference.path) &&
  existsSync(underTest.path) &&
  realpathSync(reference.path) === realpathSync(underTest.path);
