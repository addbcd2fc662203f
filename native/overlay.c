/* The overlay of one container, in a mount namespace that only its creation and it itself ever see. */
#define _GNU_SOURCE
#include "forker.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/* From here on mounts are this process's own. `host_namespace` is the way back, to be closed by the caller. */
int leave_host_mounts(int *host_namespace, struct failure *failure) {
  *host_namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (*host_namespace < 0 || unshare(CLONE_NEWNS) < 0)
    return fail(failure, errno, "failed", "a mount namespace for the overlay: %s", strerror(errno));
  /* A slave: what the host unmounts goes here too, what is mounted here never shows there. */
  if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
    return fail(failure, errno, "failed", "a private mount namespace for the overlay: %s", strerror(errno));
  return 0;
}

/* Mounts by descriptor: paths with commas and colons need no escapes, and the container does not learn them. */
int mount_overlay(const struct overlay *overlay, const char *target, struct failure *failure) {
  const char *const paths[] = {overlay->lower, overlay->upper, overlay->work};
  int fds[3] = {-1, -1, -1}, result = 0;
  char options[128];
  for (int i = 0; i < 3; i++) {
    fds[i] = open(paths[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fds[i] < 0) {
      result = fail(failure, errno, "failed", "overlay: %.300s: %s", paths[i], strerror(errno));
      goto cleanup;
    }
  }
  snprintf(options, sizeof options, "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d",
           fds[0], fds[1], fds[2]);
  if (mount("overlay", target, "overlay", MS_NODEV, options) < 0)
    result = fail(failure, errno, errno == ENOSPC ? "space" : "failed", "overlay on %.300s: %s", target,
                  strerror(errno));
cleanup:
  for (int i = 0; i < 3; i++)
    if (fds[i] >= 0)
      close(fds[i]);
  return result;
}
