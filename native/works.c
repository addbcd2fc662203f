/* What is done to a container that is there, each in a child of the forker. Making one is create.c, running a
   process in it process.c. */
#define _GNU_SOURCE
#include "forker.h"

#include <errno.h>
#include <ocispec/json_common.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FREEZE_MAX_MS = 10 * 1000 };

static struct libcrun_context_s context_of(const struct call *call) {
  return (struct libcrun_context_s){.state_root = call->root, .id = call->id, .bundle = "", .fifo_exec_wait_fd = -1};
}

int run_start(const struct call *call, struct answer *answer) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  int result = libcrun_container_start(&context, call->id, &error);
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "start") : 0;
}

int run_kill(const struct call *call, struct answer *answer) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  int result = call->all ? libcrun_container_killall(&context, call->id, call->signal, &error)
                         : libcrun_container_kill(&context, call->id, call->signal, &error);
  if (result < 0 && error != NULL && error->status == ESRCH) { /* it ended since we looked */
    libcrun_error_release(&error);
    return fail(&answer->failure, ESRCH, "stopped", "container %s is not running", call->id);
  }
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "kill") : 0;
}

/* A create that was cut off: libcrun copies config.json first, and writes its status last. */
static void delete_half_made(const struct call *call) {
  char *path = NULL;
  libcrun_error_t error = NULL;
  if (asprintf(&path, "%s/%s/config.json", call->root, call->id) < 0)
    return;
  libcrun_container_t *container = libcrun_container_load_from_file(path, &error);
  if (container != NULL && container->container_def->linux != NULL &&
      container->container_def->linux->cgroups_path != NULL)
    remove_cgroup(container->container_def->linux->cgroups_path, true);
  libcrun_error_release(&error);
  libcrun_container_free(container);
  free(path);
}

int run_delete(const struct call *call, struct answer *answer) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  if (call->status == HALF_MADE)
    delete_half_made(call);
  if (call->status == PAUSED) { /* a frozen process does not die before it is thawed (cgroup v1) */
    if (libcrun_container_kill(&context, call->id, "KILL", &error) < 0 ||
        libcrun_container_unpause(&context, call->id, &error) < 0)
      libcrun_error_release(&error);
  }
  int result = libcrun_container_delete(&context, NULL, call->id, call->force, &error);
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "delete") : 0;
}

int run_pause(const struct call *call, struct answer *answer) {
  struct libcrun_context_s context = context_of(call);
  struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
  enum container_status status;
  libcrun_error_t error = NULL;
  int result = libcrun_container_pause(&context, call->id, &error);
  if (result < 0)
    return fail_libcrun(&answer->failure, result, &error, "pause");
  /* In cgroup v1 libcrun returns while the freezer is still FREEZING. Somebody may thaw it meanwhile. */
  for (int waited = 0; look(call->root, call->id, &status, &answer->failure) == 0 && status == RUNNING; waited += 2) {
    if (waited >= FREEZE_MAX_MS)
      return fail(&answer->failure, ETIMEDOUT, "timeout", "container %s is not frozen after %d s", call->id,
                  FREEZE_MAX_MS / 1000);
    nanosleep(&pause, NULL);
  }
  return answer->failure.result;
}

int run_resume(const struct call *call, struct answer *answer) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  int result = libcrun_container_unpause(&context, call->id, &error);
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "resume") : 0;
}

int run_update(const struct call *call, struct answer *answer) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  int result = libcrun_container_update(&context, call->id, call->resources, strlen(call->resources), &error);
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "update") : 0;
}

int run_try_overlay(const struct call *call, struct answer *answer) {
  bool is_possible = false;
  int result = try_overlay(call->folder, &is_possible, &answer->failure);
  answer->pid = is_possible;
  return result;
}
