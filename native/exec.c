/* A process in a running container: the caller's ends of what it reads and writes. */
#define _GNU_SOURCE
#include "exec.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void close_ends(int fds[ENDS]) {
  for (int i = 0; i < ENDS; i++) {
    if (fds[i] >= 0)
      close(fds[i]);
    fds[i] = -1;
  }
}

static int open_ends(int ours[ENDS], int theirs[ENDS], bool terminal, struct failure *failure) {
  for (int i = STDIN; i < ENDS; i++) {
    int ends[2];
    if (i == STDERR && terminal)
      continue;
    if (i == CONTROL ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 : pipe2(ends, O_CLOEXEC) < 0)
      return fail(failure, errno, "failed", "pipe: %s", strerror(errno));
    ours[i] = ends[i == STDIN ? 1 : 0];
    theirs[i] = ends[i == STDIN ? 0 : 1];
  }
  return 0;
}

EXPORT int ncx_exec(const char *root, const char *id, const char *process, int terminal, int rows, int columns,
                    const char *monitor, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct answer answer;
  int ours[ENDS] = {-1, -1, -1, -1};
  struct call call = {
      .work = EXEC,
      .timeout_ms = timeout_ms,
      .root = root,
      .id = id,
      .process = process,
      .monitor = monitor,
      .terminal = terminal != 0,
      .rows = rows,
      .columns = columns,
      .fds = {-1, -1, -1, -1},
      .fd_count = terminal ? STDERR : ENDS,
  };
  if (look_running(root, id, &call.status, &failure) < 0)
    return give_failure(&failure, error, error_size);
  if (access(monitor, X_OK) < 0)
    fail(&failure, errno, "failed", "the monitor %.300s: %s", monitor, strerror(errno));
  else if (open_ends(ours, call.fds, call.terminal, &failure) == 0)
    ask(&call, &answer, &failure);
  close_ends(call.fds);
  if (failure.result == 0) {
    snprintf(json, json_size, "{\"pid\":%d,\"stdin\":%d,\"stdout\":%d,\"stderr\":%d,\"control\":%d}", answer.pid,
             ours[STDIN], ours[STDOUT], ours[STDERR], ours[CONTROL]);
    return 0;
  }
  if (strcmp(failure.kind, "exec") == 0)
    explain_exec(ours[STDERR], &failure);
  close_ends(ours);
  return give_failure(&failure, error, error_size);
}
