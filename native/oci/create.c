/* create and run: a container of a bundle, with the caller's own stdin, stdout and stderr. */
#define _GNU_SOURCE
#include "../forker.h"
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* FNV-1a: two agents with two roots, and one id, do not share a cgroup. */
static uint64_t hash(const char *text) {
  uint64_t result = 14695981039346656037u;
  for (; *text != '\0'; text++)
    result = (result ^ (unsigned char)*text) * 1099511628211u;
  return result;
}

/* The caller frees it; NULL when memory is out. */
static char *own_cgroup(const struct call_line *call, const char *id) {
  char *path = NULL;
  int length = strcmp(call->run, "/run/nexcage") == 0
                   ? asprintf(&path, "/nexcage-oci/%s", id)
                   : asprintf(&path, "/nexcage-oci-%016llx/%s", (unsigned long long)hash(call->run), id);
  return length < 0 ? NULL : path;
}

/* Of a create that was killed: its copy of the configuration, by which run_delete goes, may name no cgroup. */
void remove_own_cgroup(const struct call_line *call, const char *id) {
  char *cgroup = own_cgroup(call, id);
  if (cgroup != NULL)
    remove_cgroup(cgroup, true);
  free(cgroup);
}

static int set_cgroups_path(const struct call_line *call, runtime_spec_schema_config_schema *config,
                            struct failure *failure) {
  if (config->linux->cgroups_path != NULL && config->linux->cgroups_path[0] != '\0')
    return 0;
  char *path = own_cgroup(call, call->id);
  if (path == NULL)
    return fail(failure, ENOMEM, "failed", "out of memory");
  free(config->linux->cgroups_path);
  config->linux->cgroups_path = path;
  return 0;
}

static int set_cgroup_manager(const struct line *line, struct libcrun_context_s *context, struct failure *failure) {
  const char *manager = value_of(line, "cgroup-manager");
  context->force_no_cgroup = manager != NULL && strcmp(manager, "disabled") == 0;
  if (is_given(line, "systemd-cgroup") || (manager != NULL && strcmp(manager, "systemd") == 0))
    return fail(failure, EINVAL, "refused",
                "%s is not built in: the cgroups are written directly; podman: cgroup_manager = \"cgroupfs\" in "
                "containers.conf, containerd: SystemdCgroup = false",
                manager == NULL ? "--systemd-cgroup" : "--cgroup-manager systemd");
  if (manager != NULL && !context->force_no_cgroup && strcmp(manager, "cgroupfs") != 0)
    return fail(failure, EINVAL, "refused", "--cgroup-manager: \"%.40s\" is neither cgroupfs nor disabled", manager);
  return 0;
}

static int set_context(const struct call_line *call, struct libcrun_context_s *context, struct failure *failure) {
  const struct line *line = &call->line;
  const char *rootless = value_of(line, "rootless"), *notify = getenv("NOTIFY_SOCKET");
  *context = context_of(call);
  context->console_socket = value_of(line, "console-socket");
  context->pid_file = value_of(line, "pid-file");
  context->no_pivot = is_given(line, "no-pivot");
  context->no_new_keyring = is_given(line, "no-new-keyring");
  context->detach = is_given(line, "detach");
  notify_of(call);
  context->notify_socket = notify != NULL && notify[0] != '\0' ? notify : NULL;
  if (rootless != NULL && strcmp(rootless, "true") == 0 && geteuid() == 0)
    return fail(failure, EINVAL, "refused", "--rootless true: root's own containers are not rootless");
  if (set_cgroup_manager(line, context, failure) < 0)
    return failure->result;
  return set_descriptors(line, context, failure);
}

/* A socket-activated program finds what it got by these (sd_listen_fds(3)); in the container it is the first process. */
static int set_listen_variables(const struct libcrun_context_s *context, runtime_spec_schema_config_schema_process *process,
                                struct failure *failure) {
  char count[32];
  snprintf(count, sizeof count, "LISTEN_FDS=%d", context->listen_fds);
  const char *const variables[] = {count, "LISTEN_PID=1"};
  for (size_t i = 0; context->listen_fds > 0 && i < sizeof variables / sizeof *variables; i++) {
    size_t name = strcspn(variables[i], "=") + 1, at = 0;
    while (at < process->env_len && strncmp(process->env[at], variables[i], name) != 0)
      at++;
    if (at < process->env_len)
      continue;
    char **longer = realloc(process->env, (at + 2) * sizeof *longer);
    if (longer == NULL)
      return fail(failure, ENOMEM, "failed", "out of memory");
    process->env = longer;
    longer[at] = strdup(variables[i]);
    if (longer[at] == NULL)
      return fail(failure, ENOMEM, "failed", "out of memory");
    process->env_len = at + 1;
  }
  return 0;
}

/* Where it does not begin with a slash a path is the caller's, before the bundle becomes the current folder. */
static int make_absolute(const char **path, char *space, struct failure *failure) {
  char here[PATH_MAX];
  if (*path == NULL || (*path)[0] == '/')
    return 0;
  if (getcwd(here, sizeof here) == NULL)
    return fail(failure, errno, "failed", "the current folder: %s", strerror(errno));
  if (snprintf(space, PATH_MAX, "%s/%s", here, *path) >= PATH_MAX)
    return fail(failure, ENAMETOOLONG, "refused", "%.300s: too long a path", *path);
  *path = space;
  return 0;
}

/* What a failed create leaves, under its lock: nothing of it but this call's own. */
static void clean(const struct call_line *call, const runtime_spec_schema_config_schema *config) {
  struct answer answer = {0};
  struct failure ignored = {0};
  struct call half = {.work = DELETE, .root = call->root, .id = call->id, .force = true};
  if (look(call->root, call->id, &half.status, &ignored) == 0 && half.status != MISSING) {
    remove_own_cgroup(call, call->id);
    run_delete(&half, &answer);
  }
  remove_cgroup(config->linux->cgroups_path, false);
}

static int fail_make(const struct call_line *call, libcrun_error_t *error, struct failure *failure) {
  fail_crun(failure, error);
  if (failure->message[0] == '\0' && !has_said())
    fail(failure, EPROTO, "failed", "%s: libcrun gave no reason", call->line.word);
  return failure->result;
}

/* libcrun takes the end of the process that makes a detached container for its success. */
static int require_made(const struct call_line *call, struct failure *failure) {
  enum container_status status;
  if (look(call->root, call->id, &status, failure) == 0 && (status == HALF_MADE || status == MISSING))
    fail(failure, EPROTO, "failed", "%s: the process that made the container was killed", call->line.word);
  return failure->result;
}

static int make(const struct call_line *call, struct libcrun_context_s *context, libcrun_container_t *container,
                bool runs, struct failure *failure) {
  libcrun_error_t error = NULL;
  unsigned keep = is_given(&call->line, "keep") ? LIBCRUN_RUN_OPTIONS_KEEP : 0;
  if (runs)
    size_as_caller(context, container->container_def->process);
  int result = runs ? libcrun_container_run(context, container, keep, &error)
                    : libcrun_container_create(context, container, 0, &error);
  if (result >= 0 && runs && !context->detach)
    return result;
  if (result < 0)
    fail_make(call, &error, failure);
  else
    require_made(call, failure);
  if (failure->result < 0)
    clean(call, container->container_def);
  return failure->result;
}

/* Under the lock: through either door. */
static int require_new(const struct call_line *call, struct failure *failure) {
  enum container_status status;
  if (look(call->root, call->id, &status, failure) < 0)
    return failure->result;
  if (status == MISSING && !has_record(call, call->id))
    return 0;
  return fail(failure, EEXIST, "exists", "container %s already exists", call->id);
}

static int create_locked(const struct call_line *call, bool runs, struct failure *failure) {
  struct libcrun_context_s context;
  libcrun_container_t *container = NULL;
  char paths[4][PATH_MAX], bundle[PATH_MAX];
  const char *config = bundle_config_of(&call->line), *given = value_of(&call->line, "bundle");
  if (require_new(call, failure) < 0)
    return failure->result;
  if (set_context(call, &context, failure) < 0 || make_absolute(&context.console_socket, paths[0], failure) < 0 ||
      make_absolute(&context.pid_file, paths[1], failure) < 0 || make_absolute(&config, paths[2], failure) < 0)
    return failure->result;
  if (given != NULL && chdir(given) < 0)
    return fail(failure, errno, "bundle", "the bundle %.300s: %s", given, strerror(errno));
  if (getcwd(bundle, sizeof bundle) == NULL)
    return fail(failure, errno, "bundle", "the bundle: %s", strerror(errno));
  context.bundle = bundle;
  int result = load_bundle(config == NULL ? "config.json" : config, &container, failure);
  if (result == 0)
    result = set_cgroups_path(call, container->container_def, failure);
  if (result == 0)
    result = set_listen_variables(&context, container->container_def->process, failure);
  if (result == 0)
    result = check_dev(container->container_def->root->path, failure);
  if (result == 0)
    result = make(call, &context, container, runs, failure);
  libcrun_container_free(container);
  return result;
}

static int create(const struct call_line *call, bool runs, struct failure *failure) {
  if (check_id(call->id, failure) < 0 || lock_container(call, failure) < 0)
    return failure->result;
  int result = create_locked(call, runs, failure);
  unlock_container();
  return result;
}

int oci_create(const struct call_line *call, struct failure *failure) {
  return create(call, false, failure);
}

int oci_run(const struct call_line *call, struct failure *failure) {
  return create(call, true, failure);
}
