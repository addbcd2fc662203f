/* start, kill, delete, pause and resume: a look, and then what the forker's children do too (works.c). */
#define _GNU_SOURCE
#include "../forker.h"
#include "oci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those of the forker are named by what they were to do; here the caller knows. */
static int give(const struct answer *answer, struct failure *failure) {
  *failure = answer->failure;
  return failure->result;
}

static int start(const struct call_line *line, const char *id, struct failure *failure) {
  struct libcrun_context_s context = context_of(line);
  libcrun_error_t error = NULL;
  enum container_status status;
  const char *notify = getenv("NOTIFY_SOCKET");
  if (look_existing(line->root, id, &status, failure) < 0)
    return failure->result;
  if (status == STOPPED)
    return fail(failure, ESRCH, "failed", "cannot start a container that has stopped: %s", id);
  if (status != CREATED)
    return fail(failure, EBUSY, "failed", "cannot start an already running container: %s", id);
  notify_of(line);
  context.notify_socket = notify != NULL && notify[0] != '\0' ? notify : NULL;
  return libcrun_container_start(&context, id, &error) < 0 ? fail_crun(failure, &error) : 0;
}

int oci_start(const struct call_line *line, struct failure *failure) {
  return start(line, line->id, failure);
}

static const char *signal_of(const struct line *line) {
  const char *named = value_of(line, "signal");
  if (named != NULL)
    return named;
  return line->operand_count > 1 ? line->operands[1] : "SIGTERM";
}

static int kill_one(const struct call_line *line, const char *id, struct failure *failure) {
  struct answer answer = {0};
  char number[12];
  struct call call = {.work = KILL, .root = line->root, .id = id, .all = is_given(&line->line, "all"), .signal = number};
  snprintf(number, sizeof number, "%d", parse_signal(signal_of(&line->line), failure));
  if (failure->result < 0 || look_existing(line->root, id, &call.status, failure) < 0)
    return failure->result;
  if (call.status == STOPPED)
    return fail(failure, ESRCH, "failed", "container not running: %s", id);
  run_kill(&call, &answer);
  return give(&answer, failure);
}

int oci_kill(const struct call_line *line, struct failure *failure) {
  return for_each(line, kill_one, failure);
}

static int delete_one(const struct call_line *line, const char *id, struct failure *failure) {
  struct answer answer = {0};
  struct call call = {.work = DELETE, .root = line->root, .id = id, .force = is_given(&line->line, "force")};
  if (look(line->root, id, &call.status, failure) < 0)
    return failure->result;
  if (call.status == MISSING && call.force) {
    forget_lock(line, id);
    return 0;
  }
  if (call.status == MISSING)
    return fail(failure, ENOENT, "missing", "container does not exist: %s", id);
  if (call.status == HALF_MADE && !call.force)
    return fail(failure, EBUSY, "failed", "container %s is being made, or that was cut off: delete --force %s", id, id);
  if (!call.force && (call.status == RUNNING || call.status == PAUSED))
    return fail(failure, EBUSY, "failed", "cannot delete container %s that is not stopped: %s", id,
                call.status == PAUSED ? "paused" : "running");
  if (call.status == HALF_MADE)
    remove_own_cgroup(line, id);
  run_delete(&call, &answer);
  forget_lock(line, id);
  /* Somebody else has deleted it meanwhile, as podman's own cleaning does. */
  if (answer.failure.result < 0 && call.force && look(line->root, id, &call.status, failure) == 0 && call.status == MISSING)
    return 0;
  return give(&answer, failure);
}

int oci_delete(const struct call_line *line, struct failure *failure) {
  return for_each(line, delete_one, failure);
}

static int freeze(const struct call_line *line, int (*run)(const struct call *call, struct answer *answer),
                  struct failure *failure) {
  struct answer answer = {0};
  struct call call = {.root = line->root, .id = line->id};
  if (look_existing(line->root, line->id, &call.status, failure) < 0)
    return failure->result;
  if (call.status == STOPPED)
    return fail(failure, ESRCH, "failed", "container not running: %s", line->id);
  run(&call, &answer);
  return give(&answer, failure);
}

int oci_pause(const struct call_line *line, struct failure *failure) {
  return freeze(line, run_pause, failure);
}

int oci_resume(const struct call_line *line, struct failure *failure) {
  return freeze(line, run_resume, failure);
}
