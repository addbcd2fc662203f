/* Making a container: checks, overlay, libcrun, and the monitor that stays; and another monitor for one that is there. */
#define _GNU_SOURCE
#include "forker.h"
#include "inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <libcrun/string_map.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct create {
  const struct call *call;
  struct watch watch;
  int host_namespace;
  int hook_stderr; /* -1 where hooks say nothing to us */
};

static int read_pid(const struct create *create, struct answer *answer) {
  libcrun_container_status_t status = {0};
  libcrun_error_t error = NULL;
  if (libcrun_read_container_status(&status, create->call->root, create->call->id, &error) < 0)
    return fail_libcrun(&answer->failure, -1, &error, "the new container's state");
  answer->pid = status.pid;
  libcrun_free_container_status(&status);
  return 0;
}

/* libcrun gives hooks /dev/null, unless an annotation names a file. That of the container's state stays as it is. */
static int hear_hooks(const struct create *create, libcrun_container_t *container, struct failure *failure) {
  static const char name[] = "run.oci.hooks.stderr";
  runtime_spec_schema_config_schema *config = container->container_def;
  char path[32];
  if (config->hooks == NULL || create->hook_stderr < 0 || find_string_map_value(container->annotations, name) != NULL)
    return 0;
  snprintf(path, sizeof path, "/proc/self/fd/%d", create->hook_stderr);
  if (config->annotations == NULL)
    config->annotations = calloc(1, sizeof *config->annotations);
  if (config->annotations == NULL || append_json_map_string_string(config->annotations, name, path) < 0)
    return fail(failure, ENOMEM, "failed", "out of memory");
  free_string_map(container->annotations);
  container->annotations = make_string_map_from_json(config->annotations);
  return 0;
}

static int call_libcrun(struct create *create, libcrun_container_t *container, struct answer *answer) {
  libcrun_error_t error = NULL;
  struct libcrun_context_s context = {
      .state_root = create->call->root,
      .id = create->call->id,
      .bundle = create->call->bundle,
      .fifo_exec_wait_fd = -1,
      .detach = true,
  };
  int result = libcrun_container_create(&context, container, 0, &error);
  if (result >= 0)
    return read_pid(create, answer);
  fail_libcrun(&answer->failure, result, &error, "create");
  remove_cgroup(container->container_def->linux->cgroups_path, false);
  return answer->failure.result;
}

/* libcrun's own choice is /ID. */
static int check_cgroups_path(const runtime_spec_schema_config_schema *config, struct failure *failure) {
  const char *path = config->linux->cgroups_path;
  if (path != NULL && path[0] != '\0')
    return 0;
  return fail(failure, EINVAL, "refused",
              "linux.cgroupsPath: is missing; the cgroup would be /ID, shared with every other container of this id");
}

/* With the current folder in the bundle, as libcrun resolves `root.path` from there. */
static int create_in_bundle(struct create *create, struct answer *answer) {
  libcrun_container_t *container = NULL;
  struct failure *failure = &answer->failure;
  struct overlay overlay = {create->call->lower, create->call->upper, create->call->work_folder};
  int result = load_bundle("config.json", &container, failure);
  if (result == 0)
    result = check_cgroups_path(container->container_def, failure);
  if (result == 0)
    result = check_capabilities(container->container_def->process, failure);
  if (result == 0 && create->call->lower[0] != '\0') {
    result = leave_host_mounts(&create->host_namespace, failure);
    if (result == 0 && chdir(create->call->bundle) < 0) /* into the new namespace's copy of it */
      result = fail(failure, errno, "bundle", "%.300s: %s", create->call->bundle, strerror(errno));
    if (result == 0)
      result = mount_overlay(&overlay, container->container_def->root->path, failure);
  }
  if (result == 0)
    result = check_dev(container->container_def->root->path, failure);
  if (result == 0)
    result = hear_hooks(create, container, failure);
  if (result == 0)
    result = call_libcrun(create, container, answer);
  libcrun_container_free(container);
  return result;
}

static int create_watched(struct create *create, struct answer *answer) {
  struct failure *failure = &answer->failure;
  int output[2] = {-1, -1};
  int result = open_watch(&create->watch, true, failure);
  if (result < 0)
    return result;
  create->hook_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3); /* the caller's, who puts its last lines into the error */
  result = open_outputs(&create->watch, output, failure);
  if (result == 0 && null_stdio(output[0], output[1]) < 0)
    result = fail(failure, EIO, "failed", "the container's output cannot be set up");
  if (result == 0)
    result = create_in_bundle(create, answer);
  if (result < 0)
    read_tail(create->watch.reader[1], failure->stderr_tail, sizeof failure->stderr_tail); /* libcrun's own */
  null_stdio(-1, -1); /* from here on only the container writes into its pipes */
  for (int i = 0; i < 2; i++)
    if (output[i] >= 0)
      close(output[i]);
  if (result < 0)
    remove_fifos(&create->watch);
  return result;
}

struct watch watch_of(const struct call *call) {
  return (struct watch){
      .monitor = call->monitor,
      .io = call->io,
      .log = call->log,
      .exit_record = call->exit_record,
      .log_max_bytes = call->log_max_bytes,
      .reader = {-1, -1},
      .lock = -1,
  };
}

static int take_stdio(const struct call *call) {
  for (int fd = 0; fd <= 2; fd++) {
    int flags = fcntl(call->fds[fd], F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK))
      fcntl(call->fds[fd], F_SETFL, flags & ~O_NONBLOCK);
    if (dup2(call->fds[fd], fd) < 0)
      return -errno;
    close(call->fds[fd]);
  }
  return 0;
}

int run_create(const struct call *call, struct answer *answer) {
  bool is_watched = call->monitor[0] != '\0';
  struct create create = {
      .call = call,
      .watch = watch_of(call),
      .host_namespace = -1,
      .hook_stderr = call->inherit_stdio ? -1 : 2,
  };
  if (call->inherit_stdio && take_stdio(call) < 0)
    return fail(&answer->failure, errno, "failed", "the container's stdio: %s", strerror(errno));
  if (chdir(call->bundle) < 0)
    return fail(&answer->failure, errno, "bundle", "%.300s: %s", call->bundle, strerror(errno));
  if (is_watched)
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* the container's processes become its children */
  int result = is_watched ? create_watched(&create, answer) : create_in_bundle(&create, answer);
  if (create.host_namespace >= 0)
    setns(create.host_namespace, CLONE_NEWNS); /* nothing but the container keeps the overlay */
  if (result < 0 || !is_watched)
    return result;
  answer_and_stay(answer);
  become_monitor(&create.watch, "run", answer->pid);
  _exit(127);
}

int run_attach(const struct call *call, struct answer *answer) {
  struct watch watch = watch_of(call);
  if (open_watch(&watch, false, &answer->failure) < 0)
    return answer->failure.result;
  null_stdio(-1, -1);
  answer_and_stay(answer);
  become_monitor(&watch, "attach", call->pid);
  _exit(127);
}
