/* A container's monitor: its lock, the two pipes that it reads, and how it is started. */
#define _GNU_SOURCE
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIPE_BYTES = 1024 * 1024 };

static int open_lock(const char *io, struct failure *failure) {
  char path[4096];
  snprintf(path, sizeof path, "%s/monitor", io);
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    fail(failure, errno, errno == ENOSPC ? "space" : "failed", "%.300s: %s", path, strerror(errno));
  return fd;
}

/* A POSIX record lock: a fork does not inherit it, so the container's init has no part in it, and it stays
   over exec. It would end when this process closed any descriptor of the file: there must be only this one. */
static int take_lock(struct watch *watch, struct failure *failure) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  watch->lock = open_lock(watch->io, failure);
  if (watch->lock < 0)
    return failure->result;
  if (fcntl(watch->lock, F_SETLK, &lock) == 0)
    return 0;
  if (errno != EAGAIN && errno != EACCES)
    return fail(failure, errno, "failed", "the lock of %.300s: %s", watch->io, strerror(errno));
  return fail(failure, EALREADY, "exists", "%.300s already has a monitor, or its container is being made",
              watch->io);
}

static int open_fifo(const struct watch *watch, const char *name, int flags, struct failure *failure) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", watch->io, name);
  int fd = open(path, flags | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    fail(failure, errno, "failed", "%.300s: %s", path, strerror(errno));
  return fd;
}

static int make_fifo(const struct watch *watch, const char *name, struct failure *failure) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", watch->io, name);
  unlink(path);
  if (mkfifo(path, 0600) < 0)
    return fail(failure, errno, errno == ENOSPC ? "space" : "failed", "%.300s: %s", path, strerror(errno));
  return 0;
}

int open_watch(struct watch *watch, bool make, struct failure *failure) {
  const char *const names[] = {"stdout", "stderr"};
  if (access(watch->monitor, X_OK) < 0)
    return fail(failure, errno, "failed", "the monitor %.300s: %s", watch->monitor, strerror(errno));
  if (take_lock(watch, failure) < 0)
    return failure->result;
  for (int i = 0; i < 2; i++) {
    if (make && make_fifo(watch, names[i], failure) < 0)
      return failure->result;
    watch->reader[i] = open_fifo(watch, names[i], O_RDONLY, failure);
    if (watch->reader[i] < 0)
      return failure->result;
    fcntl(watch->reader[i], F_SETPIPE_SZ, PIPE_BYTES); /* where not allowed, it is smaller */
  }
  return 0;
}

/* Opened for reading too, so that a container whose monitor was killed gets no SIGPIPE. */
int open_outputs(const struct watch *watch, int output[2], struct failure *failure) {
  const char *const names[] = {"stdout", "stderr"};
  for (int i = 0; i < 2; i++) {
    output[i] = open_fifo(watch, names[i], O_RDWR, failure);
    if (output[i] < 0)
      return failure->result;
    fcntl(output[i], F_SETFL, 0); /* O_NONBLOCK would reach the container's programs */
  }
  return 0;
}

void remove_fifos(const struct watch *watch) {
  const char *const names[] = {"stdout", "stderr"};
  char path[4096];
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", watch->io, names[i]);
    unlink(path);
  }
}

void become_monitor(const struct watch *watch, const char *mode, int pid) {
  char numbers[4][24], max_bytes[24];
  const int fds[] = {watch->reader[0], watch->reader[1], watch->lock};
  char *environment[] = {NULL};
  for (int i = 0; i < 3; i++) {
    fcntl(fds[i], F_SETFD, 0);
    snprintf(numbers[i], sizeof numbers[i], "%d", fds[i]);
  }
  snprintf(numbers[3], sizeof numbers[3], "%d", pid);
  snprintf(max_bytes, sizeof max_bytes, "%lld", (long long)watch->log_max_bytes);
  char *arguments[] = {"nexcage-monitor", (char *)mode, numbers[3], numbers[0], numbers[1], numbers[2],
                       (char *)watch->io, (char *)watch->log, max_bytes, (char *)watch->exit_record, NULL};
  execve(watch->monitor, arguments, environment);
}

void become_watcher(const char *monitor, int pid, int control, const int terminal[3]) {
  const int kept[] = {control, terminal == NULL ? -1 : terminal[0], terminal == NULL ? -1 : terminal[1],
                      terminal == NULL ? -1 : terminal[2]};
  char numbers[5][16];
  char *arguments[8] = {"nexcage-monitor", "exec", numbers[0]}, *environment[] = {NULL};
  snprintf(numbers[0], sizeof numbers[0], "%d", pid);
  for (int i = 0; i < (terminal == NULL ? 1 : 4); i++) {
    fcntl(kept[i], F_SETFD, 0);
    snprintf(numbers[i + 1], sizeof numbers[i + 1], "%d", kept[i]);
    arguments[i + 3] = numbers[i + 1];
  }
  execve(monitor, arguments, environment);
}
