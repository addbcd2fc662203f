/* exec: another process in a running container. What it is comes from a file, or from the container's own process with
   what the command line changes. */
#define _GNU_SOURCE
#include "../forker.h"
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <ocispec/json_common.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef runtime_spec_schema_config_schema_process process_t;

enum { FILE_MAX_BYTES = 4 * 1024 * 1024 };

static int out_of_memory(struct failure *failure) {
  return fail(failure, ENOMEM, "failed", "out of memory");
}

static bool append(char ***list, size_t *length, const char *text) {
  char **longer = realloc(*list, (*length + 2) * sizeof *longer), *copy = strdup(text);
  if (longer != NULL)
    *list = longer;
  if (longer == NULL || copy == NULL)
    return free(copy), false;
  longer[(*length)++] = copy;
  longer[*length] = NULL;
  return true;
}

static void empty(char ***list, size_t *length) {
  for (size_t i = 0; i < *length; i++)
    free((*list)[i]);
  free(*list);
  *list = NULL;
  *length = 0;
}

static bool replace(char **place, const char *text) {
  if (text == NULL)
    return true;
  free(*place);
  *place = strdup(text);
  return *place != NULL;
}

/* NAME=VALUE takes the place of the NAME that is there. */
static bool set_variable(process_t *process, const char *text) {
  size_t name = strcspn(text, "=") + 1;
  for (size_t i = 0; i < process->env_len; i++)
    if (strncmp(process->env[i], text, name) == 0)
      return replace(&process->env[i], text);
  return append(&process->env, &process->env_len, text);
}

/* One that is asked for by an option has to be one; of those in files the specification wants a warning alone. */
static int add_capability(process_t *process, const char *name, struct failure *failure) {
  char full[64];
  snprintf(full, sizeof full, "%s%s", strncasecmp(name, "CAP_", 4) == 0 ? "" : "CAP_", name);
  if (!is_capability(full))
    return fail(failure, EINVAL, "refused", "--cap: \"%.40s\" is not a capability", name);
  if (process->capabilities == NULL)
    process->capabilities = calloc(1, sizeof *process->capabilities);
  runtime_spec_schema_config_schema_process_capabilities *sets = process->capabilities;
  bool has_room = sets != NULL && append(&sets->bounding, &sets->bounding_len, full) &&
         append(&sets->effective, &sets->effective_len, full) && append(&sets->inheritable, &sets->inheritable_len, full) &&
         append(&sets->permitted, &sets->permitted_len, full) && append(&sets->ambient, &sets->ambient_len, full);
  return has_room ? 0 : out_of_memory(failure);
}

static int add_group(process_t *process, const char *text, struct failure *failure) {
  char *end;
  unsigned long group = strtoul(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || group > UINT32_MAX)
    return fail(failure, EINVAL, "refused", "--additional-gids: \"%.40s\" is not a gid", text);
  if (process->user == NULL)
    process->user = calloc(1, sizeof *process->user);
  if (process->user == NULL)
    return out_of_memory(failure);
  size_t length = process->user->additional_gids_len;
  gid_t *longer = realloc(process->user->additional_gids, (length + 1) * sizeof *longer);
  if (longer == NULL)
    return out_of_memory(failure);
  longer[length] = group;
  process->user->additional_gids = longer;
  process->user->additional_gids_len = length + 1;
  return 0;
}

static int apply_option(const struct given *given, process_t *process, int pid, struct failure *failure) {
  const char *name = given->option->name, *value = given->value == NULL ? "" : given->value;
  bool is_on = strcmp(value, "false") != 0, has_room = true;
  if (strcmp(name, "env") == 0) {
    if (value[0] == '=' || strchr(value, '=') == NULL)
      return fail(failure, EINVAL, "refused", "--env: \"%.40s\" is not NAME=VALUE", value);
    has_room = set_variable(process, value);
  } else if (strcmp(name, "user") == 0) {
    if (process->user != NULL)
      free_runtime_spec_schema_config_schema_process_user(process->user);
    process->user = NULL;
    return find_user(value, pid, &process->user, failure);
  } else if (strcmp(name, "cwd") == 0 || strcmp(name, "workdir") == 0) {
    has_room = replace(&process->cwd, value);
  } else if (strcmp(name, "cap") == 0) {
    return add_capability(process, value, failure);
  } else if (strcmp(name, "apparmor") == 0) {
    has_room = replace(&process->apparmor_profile, value);
  } else if (strcmp(name, "process-label") == 0) {
    has_room = replace(&process->selinux_label, value);
  } else if (strcmp(name, "no-new-privs") == 0) {
    process->no_new_privileges = is_on;
  } else if (strcmp(name, "tty") == 0) {
    process->terminal = is_on;
  }
  return has_room ? 0 : out_of_memory(failure);
}

static int set_options(const struct line *line, process_t *process, int pid, struct failure *failure) {
  for (size_t i = line->global_count; failure->result == 0 && i < line->given_count; i++)
    apply_option(&line->given[i], process, pid, failure);
  for (size_t i = line->global_count; failure->result == 0 && i < line->given_count; i++)
    if (strcmp(line->given[i].option->name, "additional-gids") == 0)
      add_group(process, line->given[i].value, failure);
  return failure->result;
}

/* The container's own process, with a command and options of the command line's. The caller frees it. */
static int derive_process(const struct call_line *call, int pid, process_t **process, struct failure *failure) {
  char path[PATH_MAX + 160];
  libcrun_error_t error = NULL;
  snprintf(path, sizeof path, "%s/%.128s/config.json", call->root, call->id);
  if (call->line.operand_count < 2)
    return fail(failure, EINVAL, "refused", "exec needs a command: exec %s COMMAND", call->id);
  libcrun_container_t *container = libcrun_container_load_from_file(path, &error);
  if (container == NULL)
    return fail_crun(failure, &error);
  *process = container->container_def->process;
  container->container_def->process = NULL;
  libcrun_container_free(container);
  if (*process == NULL && (*process = calloc(1, sizeof **process)) == NULL)
    return out_of_memory(failure);
  (*process)->terminal = false;
  empty(&(*process)->args, &(*process)->args_len);
  for (char **word = call->line.operands + 1; *word != NULL; word++)
    if (!append(&(*process)->args, &(*process)->args_len, *word))
      return out_of_memory(failure);
  return set_options(&call->line, *process, pid, failure);
}

static int read_text(const char *path, char **text, struct failure *failure) {
  struct stat file;
  ssize_t count = 0, length = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return fail(failure, errno, "failed", "--process: cannot open %.300s (%s)", path, strerrorname_np(errno));
  *text = fstat(fd, &file) == 0 && file.st_size <= FILE_MAX_BYTES ? calloc(1, FILE_MAX_BYTES + 1) : NULL;
  while (*text != NULL && length < FILE_MAX_BYTES && (count = read(fd, *text + length, FILE_MAX_BYTES - length)) > 0)
    length += count;
  close(fd);
  if (*text == NULL || count < 0 || length == FILE_MAX_BYTES)
    return fail(failure, EINVAL, "refused", "--process: %.300s is not a file of at most %d bytes", path, FILE_MAX_BYTES);
  return 0;
}

/* The caller frees it. */
static int parse_process(const char *path, process_t **process, struct failure *failure) {
  struct parser_context context = {0, NULL};
  parser_error reason = NULL;
  char text[256] = "", *content = NULL;
  if (read_text(path, &content, failure) < 0) {
    free(content);
    return failure->result;
  }
  yajl_val tree = yajl_tree_parse(content, text, sizeof text);
  free(content);
  text[strcspn(text, "\n")] = '\0';
  if (tree == NULL)
    return fail(failure, EINVAL, "refused", "--process %.300s: %s", path, text[0] == '\0' ? "not JSON" : text);
  *process = make_runtime_spec_schema_config_schema_process(tree, &context, &reason);
  yajl_tree_free(tree);
  if (*process == NULL)
    fail(failure, EINVAL, "refused", "--process %.300s: %s", path, reason == NULL ? "cannot be parsed" : reason);
  else if ((*process)->args_len == 0)
    fail(failure, EINVAL, "refused", "--process %.300s: args: is missing or empty", path);
  free(reason);
  return failure->result;
}

/* A file says all of a process: what an option says beside it would be lost. */
static int refuse_beside_file(const struct line *line, struct failure *failure) {
  static const char *const words[] = {"env",      "user",          "cwd",          "workdir",        "cap",
                                      "apparmor", "process-label", "no-new-privs", "additional-gids"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (is_given(line, words[i]))
      return fail(failure, EINVAL, "refused", "--%s cannot stand beside --process, which says it", words[i]);
  return 0;
}

static int find_process(const struct call_line *call, process_t **process, struct failure *failure) {
  libcrun_container_status_t status = {0};
  libcrun_error_t error = NULL;
  const char *file = value_of(&call->line, "process");
  if (libcrun_read_container_status(&status, call->root, call->id, &error) < 0)
    return fail_crun(failure, &error);
  if (file != NULL) {
    if (refuse_beside_file(&call->line, failure) == 0 && parse_process(file, process, failure) == 0 && is_given(&call->line, "tty"))
      (*process)->terminal = true;
  } else {
    derive_process(call, status.pid, process, failure);
  }
  libcrun_free_container_status(&status);
  return failure->result;
}

/* With cgroup v1 libcrun 1.21 leaves the process in the caller's cgroup, without any of the container's limits. */
static int check_cgroup(const char *cgroup, struct failure *failure) {
  if (cgroup == NULL)
    return 0;
  if (strstr(cgroup, "..") != NULL)
    return fail(failure, EINVAL, "refused", "--cgroup: must not hold \"..\"");
  if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0)
    return fail(failure, EINVAL, "refused", "--cgroup: needs cgroup v2, and this host has v1");
  return 0;
}

static int require_running(const struct call_line *call, struct failure *failure) {
  enum container_status status;
  if (is_given(&call->line, "ignore-paused"))
    return fail(failure, EINVAL, "refused", "--ignore-paused: libcrun starts nothing in a paused container");
  if (look_existing(call->root, call->id, &status, failure) < 0)
    return failure->result;
  if (status == STOPPED)
    return fail(failure, ESRCH, "stopped", "the container %s is not running", call->id);
  if (status == PAUSED)
    return fail(failure, ESRCH, "stopped", "the container %s is paused", call->id);
  return 0;
}

int oci_exec(const struct call_line *call, struct failure *failure) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  process_t *process = NULL;
  context.detach = is_given(&call->line, "detach");
  context.console_socket = value_of(&call->line, "console-socket");
  context.pid_file = value_of(&call->line, "pid-file");
  int result = require_running(call, failure);
  if (result == 0)
    result = check_cgroup(value_of(&call->line, "cgroup"), failure);
  if (result == 0)
    result = set_descriptors(&call->line, &context, failure);
  if (result == 0)
    result = find_process(call, &process, failure);
  if (result == 0 && process->terminal && context.detach && context.console_socket == NULL)
    result = fail(failure, EINVAL, "refused", "use --console-socket with --detach when a terminal is used");
  if (result == 0) {
    struct libcrun_container_exec_options_s options = {
        .struct_size = sizeof options, .process = process, .cgroup = value_of(&call->line, "cgroup")};
    size_as_caller(&context, process);
    result = libcrun_container_exec_with_options(&context, call->id, &options, &error);
    if (result < 0)
      result = fail_crun(failure, &error);
    else if (context.detach)
      result = 0;
  }
  if (process != NULL)
    free_runtime_spec_schema_config_schema_process(process);
  return result;
}
