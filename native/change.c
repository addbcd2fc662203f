/* The calls that change something: look, and then ask the forker. exec.c has one more. */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int change(const struct call *call, struct failure *failure, char *json, size_t json_size, char *error,
                  size_t error_size) {
  struct answer answer;
  if (failure->result == 0)
    ask(call, &answer, failure);
  if (failure->result < 0)
    return give_failure(failure, error, error_size);
  snprintf(json, json_size, "{}");
  return 0;
}

EXPORT int ncx_start(const char *root, const char *id, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.work = START, .timeout_ms = timeout_ms, .root = root, .id = id};
  if (look_running(root, id, &call.status, &failure) == 0 && call.status != CREATED)
    fail(&failure, EBUSY, "running", "container %s is already running", id);
  return change(&call, &failure, json, json_size, error, error_size);
}

EXPORT int ncx_kill(const char *root, const char *id, const char *signal, int all, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.work = KILL, .timeout_ms = timeout_ms, .root = root, .id = id, .all = all != 0};
  char number[12];
  snprintf(number, sizeof number, "%d", parse_signal(signal, &failure));
  call.signal = number;
  if (failure.result == 0 && look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, &failure, json, json_size, error, error_size);
}

EXPORT int ncx_delete(const char *root, const char *id, int force, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.work = DELETE, .timeout_ms = timeout_ms, .root = root, .id = id, .force = force != 0};
  if (!call.force) {
    if (look_existing(root, id, &call.status, &failure) == 0 && call.status != CREATED && call.status != STOPPED)
      fail(&failure, EBUSY, "running", "container %s is %s", id, call.status == PAUSED ? "paused" : "running");
  } else if (look(root, id, &call.status, &failure) == 0 && call.status == MISSING) {
    snprintf(json, json_size, "{}");
    return 0;
  }
  return change(&call, &failure, json, json_size, error, error_size);
}

EXPORT int ncx_pause(const char *root, const char *id, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.work = PAUSE, .timeout_ms = timeout_ms, .root = root, .id = id};
  if (look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, &failure, json, json_size, error, error_size);
}

EXPORT int ncx_resume(const char *root, const char *id, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.work = RESUME, .timeout_ms = timeout_ms, .root = root, .id = id};
  if (look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, &failure, json, json_size, error, error_size);
}

EXPORT int ncx_update(const char *root, const char *id, const char *resources, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.work = UPDATE, .timeout_ms = timeout_ms, .root = root, .id = id, .resources = resources};
  if (look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, &failure, json, json_size, error, error_size);
}

EXPORT int ncx_can_overlay(const char *path, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct answer answer;
  struct call call = {.work = TRY_OVERLAY, .timeout_ms = timeout_ms, .folder = path};
  ask(&call, &answer, &failure);
  if (failure.result < 0)
    return give_failure(&failure, error, error_size);
  snprintf(json, json_size, "{\"overlay\":%s}", answer.pid != 0 ? "true" : "false");
  return 0;
}

/* A create that was killed, for its timeout or with the forker, leaves a state folder and perhaps processes. */
static void undo(const char *root, const char *id) {
  char json[64], error[1024];
  ncx_delete(root, id, 1, 10 * 1000, json, sizeof json, error, sizeof error);
}

EXPORT int ncx_create(const char *root, const char *id, const char *bundle, const char *lower, const char *upper,
                      const char *work_folder, const char *monitor, const char *io, const char *log,
                      int64_t log_max_bytes, const char *exit_record, int inherit_stdio, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct answer answer;
  struct call call = {
      .work = CREATE,
      .timeout_ms = timeout_ms,
      .root = root,
      .id = id,
      .bundle = bundle,
      .lower = lower,
      .upper = upper,
      .work_folder = work_folder,
      .monitor = monitor,
      .io = io,
      .log = log,
      .log_max_bytes = log_max_bytes,
      .exit_record = exit_record,
      .inherit_stdio = inherit_stdio != 0,
      .fds = {0, 1, 2},
      .fd_count = inherit_stdio ? 3 : 0,
  };
  if (look(root, id, &call.status, &failure) == 0 && call.status != MISSING)
    fail(&failure, EEXIST, "exists", "container %s already exists", id);
  if (failure.result == 0 && ask(&call, &answer, &failure) < 0 &&
      (failure.result == -ETIMEDOUT || failure.result == -ECONNRESET))
    undo(root, id);
  if (failure.result < 0)
    return give_failure(&failure, error, error_size);
  snprintf(json, json_size, "{\"pid\":%d,\"monitorPid\":%d}", answer.pid, answer.lasting_pid);
  return 0;
}

EXPORT int ncx_attach(const char *monitor, const char *io, const char *log, int64_t log_max_bytes,
                      const char *exit_record, int pid, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct answer answer;
  struct call call = {
      .work = ATTACH,
      .timeout_ms = timeout_ms,
      .monitor = monitor,
      .io = io,
      .log = log,
      .log_max_bytes = log_max_bytes,
      .exit_record = exit_record,
      .pid = pid,
  };
  if (ask(&call, &answer, &failure) < 0)
    return give_failure(&failure, error, error_size);
  snprintf(json, json_size, "{\"monitorPid\":%d}", answer.lasting_pid);
  return 0;
}
