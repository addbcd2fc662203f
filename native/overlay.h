/* The overlay of one container, in a mount namespace that only its creation and it itself ever see. */
#ifndef OVERLAY_H
#define OVERLAY_H

#include "failure.h"

#include <stdbool.h>

struct overlay {
  const char *lower, *upper, *work;
};

/* From here on mounts are this process's own. `host_namespace` is the way back, to be closed by the caller. */
int leave_host_mounts(int *host_namespace, struct failure *failure);
int mount_overlay(const struct overlay *overlay, const char *target, struct failure *failure);
/* Whether one works whose upper folder is on the file system of the folder `path`: mounts one and writes a file into
   it, in a mount namespace that stays this process's. Leaves nothing behind. */
int try_overlay(const char *path, bool *is_possible, struct failure *failure);

#endif
