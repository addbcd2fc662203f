/* Locks, which the rest of the agent takes too (agent/state/lock.ts). A container's: who makes a container of some id is the
   only one, through whichever door. It is held from the look at what is there until libcrun has written the state that
   everybody sees; what then runs has no part in it. A fleet's: serve.c. */
#define _GNU_SOURCE
#include "duration.h"
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct lock container = {.fd = -1};

/* Anybody may make a folder in /run/lock before an agent has: with links in it, or files that are locked for good. */
static int require_own(const char *folder, struct failure *failure) {
  struct stat found;
  if (lstat(folder, &found) < 0)
    return fail(failure, errno, "failed", "%.300s: %s", folder, strerror(errno));
  if (S_ISDIR(found.st_mode) && found.st_uid == geteuid() && (found.st_mode & 022) == 0)
    return 0;
  return fail(failure, EPERM, "failed", "%.300s belongs to uid %u, or others may write there; when no agent runs: rm -r it",
              folder, (unsigned)found.st_uid);
}

static int make_folder(const char *folder, struct failure *failure) {
  char part[PATH_MAX];
  snprintf(part, sizeof part, "%s", folder);
  for (char *slash = part + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
    *slash = '\0';
    mkdir(part, 0700);
    *slash = '/';
  }
  mkdir(part, 0700);
  return require_own(folder, failure);
}

/* False when who held it before has removed the file: what we locked is nobody's any more. */
static bool is_still_there(const struct lock *lock) {
  struct stat there, ours;
  return lstat(lock->path, &there) == 0 && fstat(lock->fd, &ours) == 0 && there.st_ino == ours.st_ino &&
         there.st_dev == ours.st_dev;
}

static int take(struct lock *lock, double seconds, struct failure *failure) {
  const struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (;;) {
    lock->fd = open(lock->path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock->fd < 0)
      return fail(failure, errno, errno == ENOSPC ? "space" : "failed", "%.300s: %s", lock->path, strerror(errno));
    bool is_locked = flock(lock->fd, LOCK_EX | LOCK_NB) == 0;
    if (is_locked && is_still_there(lock))
      return 0;
    close(lock->fd);
    lock->fd = -1;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9 > seconds)
      return fail(failure, EBUSY, "failed", "%.300s is held: another command has worked on this container for %g s",
                  lock->path, seconds);
    if (!is_locked)
      nanosleep(&pause, NULL);
  }
}

void find_lock_folder(const struct call_line *call, char folder[PATH_MAX]) {
  const char *named = getenv("NEXCAGE_LOCK_DIR");
  if (named != NULL && named[0] != '\0')
    snprintf(folder, PATH_MAX, "%s", named);
  else if (strcmp(call->run, "/run/nexcage") == 0)
    snprintf(folder, PATH_MAX, "/run/lock/nexcage");
  else
    snprintf(folder, PATH_MAX, "%.4000s/.lock", call->run);
}

static void set_path(struct lock *lock, const struct call_line *call, const char *name, char folder[PATH_MAX]) {
  find_lock_folder(call, folder);
  snprintf(lock->path, sizeof lock->path, "%s/%.150s", folder, name);
}

int take_lock(struct lock *lock, const struct call_line *call, const char *name, double seconds, struct failure *failure) {
  char folder[PATH_MAX];
  set_path(lock, call, name, folder);
  return make_folder(folder, failure) < 0 ? failure->result : take(lock, seconds, failure);
}

/* Of whichever process has it still: a child that has given it back has removed the file. */
void give_back(struct lock *lock) {
  if (lock->fd < 0)
    return;
  if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0 && is_still_there(lock))
    unlink(lock->path);
  flock(lock->fd, LOCK_UN); /* for every process that has inherited the descriptor */
  close(lock->fd);
  lock->fd = -1;
}

static void name_container(const char *id, char name[160]) {
  snprintf(name, 160, "container-%.128s", id);
}

int lock_container(const struct call_line *call, struct failure *failure) {
  const char *timeout = value_of(&call->line, "lock-timeout");
  char name[160];
  double seconds = 60;
  if (timeout != NULL && !parse_duration(timeout, &seconds))
    return fail(failure, EINVAL, "refused", "--lock-timeout: \"%.40s\" is not a duration, as in 30s", timeout);
  name_container(call->id, name);
  return take_lock(&container, call, name, seconds, failure);
}

void unlock_container(void) {
  give_back(&container);
}

void forget_lock(const struct call_line *call, const char *id) {
  char folder[PATH_MAX], name[160];
  struct failure ignored = {0};
  name_container(id, name);
  set_path(&container, call, name, folder);
  bool is_own = require_own(folder, &ignored) == 0;
  container.fd = is_own ? open(container.path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK) : -1;
  unlock_container();
}

/* The linker puts this before libcrun's own (native/build), which makes a container's state known. */
int __real_libcrun_write_container_status(const char *state_root, const char *id, libcrun_container_status_t *status,
                                          libcrun_error_t *error);
int __wrap_libcrun_write_container_status(const char *state_root, const char *id, libcrun_container_status_t *status,
                                          libcrun_error_t *error);
int __wrap_libcrun_write_container_status(const char *state_root, const char *id, libcrun_container_status_t *status,
                                          libcrun_error_t *error) {
  int result = __real_libcrun_write_container_status(state_root, id, status, error);
  if (result >= 0)
    unlock_container();
  return result;
}
