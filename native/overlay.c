#define _GNU_SOURCE
#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int write_through(const char *folder, struct failure *failure) {
  static const char *const names[] = {"lower", "upper", "work", "merged"};
  struct overlay overlay = {names[0], names[1], names[2]};
  int host = -1, result;
  for (int i = 0; i < 4; i++)
    mkdir(names[i], 0700);
  result = leave_host_mounts(&host, failure);
  if (host >= 0)
    close(host);
  if (result < 0)
    return result;
  if (chdir(folder) < 0) /* into the new namespace's copy of it */
    return fail(failure, errno, "failed", "%.300s: %s", folder, strerror(errno));
  if (mount_overlay(&overlay, names[3], failure) < 0)
    return failure->result;
  FILE *file = fopen("merged/file", "we");
  if (file == NULL)
    fail(failure, errno, "failed", "overlay: %s", strerror(errno));
  else
    fclose(file);
  umount2(names[3], MNT_DETACH);
  return failure->result;
}

static void remove_try(const char *folder) {
  static const char *const names[] = {"upper/file", "work/work", "lower", "upper", "work", "merged"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    remove(names[i]);
  rmdir(folder);
}

int try_overlay(const char *path, bool *is_possible, struct failure *failure) {
  struct failure why = {0};
  char folder[4096];
  snprintf(folder, sizeof folder, "%.4000s/.overlay.XXXXXX", path);
  if (mkdtemp(folder) == NULL || chdir(folder) < 0)
    return fail(failure, errno, errno == ENOSPC ? "space" : "failed", "%.300s: %s", path, strerror(errno));
  *is_possible = write_through(folder, &why) == 0;
  remove_try(folder);
  return 0;
}
