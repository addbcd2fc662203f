/* The calls on a container that is there. Making one is create.c, running a process in it exec.c. */
#define _GNU_SOURCE
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <ocispec/json_common.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct call {
  const char *root, *id, *resources;
  char signal[12];
  bool all, force;
  enum container_status status;
};

static struct libcrun_context_s context_of(const struct call *call) {
  return (struct libcrun_context_s){.state_root = call->root, .id = call->id, .bundle = "", .fifo_exec_wait_fd = -1};
}

static int change(struct call *call, int (*run)(void *, struct answer *), int timeout_ms, struct failure *failure,
                  char *json, size_t json_size, char *error, size_t error_size) {
  struct answer answer;
  struct work work = {.run = run, .arguments = call, .timeout_ms = timeout_ms};
  if (failure->result == 0)
    run_in_child(&work, &answer, failure);
  if (failure->result < 0)
    return give_failure(failure, error, error_size);
  snprintf(json, json_size, "{}");
  return 0;
}

EXPORT int ncx_version(NCX_ANSWER) {
  (void)error, (void)error_size;
  snprintf(json, json_size, "{\"libcrun\":\"%s\"}", PACKAGE_VERSION);
  return 0;
}

EXPORT int ncx_list(const char *root, NCX_ANSWER) {
  struct failure failure = {0};
  struct dirent *entry;
  char path[4096];
  DIR *folder = opendir(root);
  if (folder == NULL && errno != ENOENT) {
    fail(&failure, errno, "failed", "%.300s: %s", root, strerror(errno));
    return give_failure(&failure, error, error_size);
  }
  yajl_gen list = yajl_gen_alloc(NULL);
  yajl_gen_array_open(list);
  while (folder != NULL && (entry = readdir(folder)) != NULL) {
    snprintf(path, sizeof path, "%s/%s/status", root, entry->d_name);
    if (entry->d_name[0] != '.' && access(path, F_OK) == 0)
      yajl_gen_string(list, (const unsigned char *)entry->d_name, strlen(entry->d_name));
  }
  yajl_gen_array_close(list);
  if (folder != NULL)
    closedir(folder);
  int result = give_json(list, json, json_size, error, error_size);
  yajl_gen_free(list);
  return result;
}

/* Asks libcrun first, as this is the call that is made most, and looks only to say why it failed. */
EXPORT int ncx_state(const char *root, const char *id, NCX_ANSWER) {
  struct failure failure = {0}, found = {0};
  struct call call = {.root = root, .id = id};
  struct libcrun_context_s context = context_of(&call);
  libcrun_error_t crun_error = NULL;
  char *text = NULL;
  size_t length = 0;
  if (check_id(id, &failure) < 0)
    return give_failure(&failure, error, error_size);
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) {
    fail(&failure, errno, "failed", "open_memstream: %s", strerror(errno));
    return give_failure(&failure, error, error_size);
  }
  lock_libcrun();
  if (libcrun_container_state(&context, id, out, &crun_error) < 0)
    fail_libcrun(&failure, -1, &crun_error, "state");
  unlock_libcrun();
  fclose(out);
  if (failure.result < 0 && look_existing(root, id, &call.status, &found) < 0)
    failure = found;
  if (failure.result == 0 && length >= json_size)
    fail(&failure, EOVERFLOW, "failed", "the state does not fit into %zu bytes", json_size);
  if (failure.result == 0)
    memcpy(json, text, length + 1);
  free(text);
  return failure.result == 0 ? 0 : give_failure(&failure, error, error_size);
}

EXPORT int ncx_pids(const char *root, const char *id, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.root = root, .id = id};
  struct libcrun_context_s context = context_of(&call);
  libcrun_error_t crun_error = NULL;
  enum container_status status;
  pid_t *pids = NULL;
  if (look_existing(root, id, &status, &failure) < 0)
    return give_failure(&failure, error, error_size);
  lock_libcrun();
  if (status != STOPPED && libcrun_container_read_pids(&context, id, true, &pids, &crun_error) < 0)
    fail_libcrun(&failure, -1, &crun_error, "pids");
  unlock_libcrun();
  if (failure.result < 0)
    return give_failure(&failure, error, error_size);
  yajl_gen list = yajl_gen_alloc(NULL);
  yajl_gen_array_open(list);
  for (size_t i = 0; pids != NULL && pids[i] != 0; i++)
    yajl_gen_integer(list, pids[i]);
  yajl_gen_array_close(list);
  free(pids);
  int result = give_json(list, json, json_size, error, error_size);
  yajl_gen_free(list);
  return result;
}

static int run_start(void *arguments, struct answer *answer) {
  struct call *call = arguments;
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  int result = libcrun_container_start(&context, call->id, &error);
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "start") : 0;
}

EXPORT int ncx_start(const char *root, const char *id, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.root = root, .id = id};
  if (look_running(root, id, &call.status, &failure) == 0 && call.status != CREATED)
    fail(&failure, EBUSY, "running", "container %s is already running", id);
  return change(&call, run_start, timeout_ms, &failure, json, json_size, error, error_size);
}

static int run_kill(void *arguments, struct answer *answer) {
  struct call *call = arguments;
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

EXPORT int ncx_kill(const char *root, const char *id, const char *signal, int all, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.root = root, .id = id, .all = all != 0};
  int number = parse_signal(signal, &failure);
  snprintf(call.signal, sizeof call.signal, "%d", number);
  if (failure.result == 0 && look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, run_kill, timeout_ms, &failure, json, json_size, error, error_size);
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

static int run_delete(void *arguments, struct answer *answer) {
  struct call *call = arguments;
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

EXPORT int ncx_delete(const char *root, const char *id, int force, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.root = root, .id = id, .force = force != 0};
  if (!call.force) {
    if (look_existing(root, id, &call.status, &failure) == 0 && call.status != CREATED && call.status != STOPPED)
      fail(&failure, EBUSY, "running", "container %s is %s", id, call.status == PAUSED ? "paused" : "running");
  } else if (look(root, id, &call.status, &failure) == 0 && call.status == MISSING) {
    snprintf(json, json_size, "{}");
    return 0;
  }
  return change(&call, run_delete, timeout_ms, &failure, json, json_size, error, error_size);
}

static int run_pause(void *arguments, struct answer *answer) {
  struct call *call = arguments;
  struct libcrun_context_s context = context_of(call);
  struct timespec pause = {.tv_nsec = 2 * 1000 * 1000};
  libcrun_error_t error = NULL;
  int result = libcrun_container_pause(&context, call->id, &error);
  if (result < 0)
    return fail_libcrun(&answer->failure, result, &error, "pause");
  /* In cgroup v1 libcrun returns while the freezer is still FREEZING; the caller's time limit ends this. */
  while (look(call->root, call->id, &call->status, &answer->failure) == 0 && call->status == RUNNING)
    nanosleep(&pause, NULL);
  return answer->failure.result;
}

EXPORT int ncx_pause(const char *root, const char *id, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.root = root, .id = id};
  if (look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, run_pause, timeout_ms, &failure, json, json_size, error, error_size);
}

static int run_resume(void *arguments, struct answer *answer) {
  struct call *call = arguments;
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  int result = libcrun_container_unpause(&context, call->id, &error);
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "resume") : 0;
}

EXPORT int ncx_resume(const char *root, const char *id, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.root = root, .id = id};
  if (look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, run_resume, timeout_ms, &failure, json, json_size, error, error_size);
}

static int run_update(void *arguments, struct answer *answer) {
  struct call *call = arguments;
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  int result = libcrun_container_update(&context, call->id, call->resources, strlen(call->resources), &error);
  return result < 0 ? fail_libcrun(&answer->failure, result, &error, "update") : 0;
}

EXPORT int ncx_update(const char *root, const char *id, const char *resources, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct call call = {.root = root, .id = id, .resources = resources};
  if (look_existing(root, id, &call.status, &failure) == 0 && call.status == STOPPED)
    fail(&failure, ESRCH, "stopped", "container %s is not running", id);
  return change(&call, run_update, timeout_ms, &failure, json, json_size, error, error_size);
}

struct overlay_try {
  const char *path;
  char folder[4096]; /* a temporary one below `path` */
};

static int run_overlay_try(void *arguments, struct answer *answer) {
  static const char *const names[] = {"lower", "upper", "work", "merged"};
  struct overlay_try *try = arguments;
  struct overlay overlay = {names[0], names[1], names[2]};
  int host = -1;
  if (chdir(try->folder) < 0)
    return fail(&answer->failure, errno, "failed", "%.300s: %s", try->folder, strerror(errno));
  for (int i = 0; i < 4; i++)
    mkdir(names[i], 0700);
  if (leave_host_mounts(&host, &answer->failure) < 0 || chdir(try->folder) < 0)
    return answer->failure.result;
  if (mount_overlay(&overlay, names[3], &answer->failure) < 0)
    return answer->failure.result;
  FILE *file = fopen("merged/file", "we");
  if (file == NULL)
    return fail(&answer->failure, errno, "failed", "overlay: %s", strerror(errno));
  fclose(file);
  return 0;
}

static void remove_overlay_try(const char *folder) {
  static const char *const names[] = {"upper/file", "work/work", "lower", "upper", "work", "merged"};
  char path[4200];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
  rmdir(folder);
}

EXPORT int ncx_can_overlay(const char *path, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  struct answer answer;
  struct overlay_try try = {.path = path};
  struct work work = {.run = run_overlay_try, .arguments = &try, .timeout_ms = timeout_ms};
  snprintf(try.folder, sizeof try.folder, "%.4000s/.overlay.XXXXXX", path);
  if (mkdtemp(try.folder) == NULL) {
    fail(&failure, errno, errno == ENOSPC ? "space" : "failed", "%.300s: %s", path, strerror(errno));
    return give_failure(&failure, error, error_size);
  }
  run_in_child(&work, &answer, &failure);
  remove_overlay_try(try.folder);
  snprintf(json, json_size, "{\"overlay\":%s}", failure.result == 0 ? "true" : "false");
  return 0;
}
