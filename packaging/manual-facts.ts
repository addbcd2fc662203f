/* What the manual says of a program that no command does: its files, and the variables that it reads. */

type Facts = { files: [path: string, what: string][]; environment: [name: string, what: string][] };

export const manualFacts: Readonly<Record<string, Facts>> = {
  nexcage: {
    files: [
      ["inventory.yaml", "the hosts, where no --file names others"],
      ["fleet.yaml", "the containers wanted on them, where no --file names others"],
      ["~/.ssh/config", "how hosts are reached, where the inventory does not say it"],
      ["~/.ssh/known_hosts", "the hosts' keys, where the inventory names no other file"],
      ["~/.cache/nexcage", "packed root file systems, and names for completion; it can be deleted"],
    ],
    environment: [
      ["NEXCAGE_BECOME_PASSWORD", "what sudo on the hosts is given where it asks"],
      ["SSH_AUTH_SOCK", "the ssh-agent whose keys are tried"],
      ["XDG_CACHE_HOME", "in place of ~/.cache"],
      ["NO_COLOR", "no colours, where it is not empty"],
      ["GITHUB_ACTIONS", "true: mistakes and failures are annotated for GitHub on stderr"],
      ["NEXCAGE_DEBUG", "where it is not empty, a failure of nexcage itself is shown with its stack"],
    ],
  },
  "nexcage-agent": {
    files: [
      ["/etc/nexcage/config.yaml", "what holds for containers that are made by hand"],
      ["/run/nexcage", "the OCI state of each container"],
      ["/var/lib/nexcage", "records of containers, bundles, images and the journal"],
      ["/var/log/nexcage", "what containers wrote"],
      ["/run/lock/nexcage", "locks of containers and fleets"],
    ],
    environment: [
      ["NEXCAGE_RUN_DIR", "as --root"],
      ["NEXCAGE_LIB_DIR", "in place of /var/lib/nexcage"],
      ["NEXCAGE_LOG_DIR", "in place of /var/log/nexcage"],
      ["NEXCAGE_LOCK_DIR", "in place of /run/lock/nexcage"],
    ],
  },
};
