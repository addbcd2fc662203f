/* A process in a running container, in a child of the forker that stays as its watcher: reports its end, and ends
   it when the caller is gone (watch-process.c). */
#define _GNU_SOURCE
#include "console.h"
#include "exec.h"
#include "first-size.h"
#include "forker.h"
#include "inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <ocispec/json_common.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void set_terminal(const struct call *call, runtime_spec_schema_config_schema_process *process) {
  process->terminal = call->terminal;
  if (call->terminal && process->console_size == NULL)
    process->console_size = calloc(1, sizeof *process->console_size);
  if (process->console_size != NULL) {
    process->console_size->height = call->rows;
    process->console_size->width = call->columns;
    set_first_size(call->rows, call->columns);
  }
}

/* The caller frees `*process`. */
static int parse_process(const struct call *call, runtime_spec_schema_config_schema_process **process,
                         struct failure *failure) {
  struct parser_context context = {0, NULL};
  parser_error reason = NULL;
  char text[256] = "";
  yajl_val tree = yajl_tree_parse(call->process, text, sizeof text);
  if (tree == NULL)
    return fail(failure, EINVAL, "refused", "process: not JSON");
  *process = make_runtime_spec_schema_config_schema_process(tree, &context, &reason);
  if (*process == NULL)
    fail(failure, EINVAL, "refused", "process: %s", reason == NULL ? "cannot be parsed" : reason);
  else if ((*process)->args_len == 0)
    fail(failure, EINVAL, "refused", "process.args: is missing or empty");
  else
    check_capabilities(*process, failure);
  if (*process != NULL)
    set_terminal(call, *process);
  free(reason);
  yajl_tree_free(tree);
  return failure->result;
}

/* In the container's state folder, which is the current folder from here on. */
static int open_call_console(const struct call *call, char *name, size_t name_size, struct failure *failure) {
  char folder[4096];
  snprintf(folder, sizeof folder, "%s/%s", call->root, call->id);
  snprintf(name, name_size, "console.%d", getpid());
  if (chdir(folder) < 0)
    return fail(failure, errno, "failed", "%.300s: %s", folder, strerror(errno));
  return open_console(name, failure);
}

static int call_libcrun(const struct call *call, int *master, struct libcrun_context_s *context,
                        runtime_spec_schema_config_schema_process *process, struct answer *answer) {
  struct failure *failure = &answer->failure;
  char name[32];
  libcrun_error_t error = NULL;
  int console = call->terminal ? open_call_console(call, name, sizeof name, failure) : -1;
  if (failure->result < 0)
    return failure->result;
  context->console_socket = call->terminal ? name : NULL;
  if (!call->terminal && (dup2(call->fds[STDIN], 0) < 0 || dup2(call->fds[STDOUT], 1) < 0 ||
                          dup2(call->fds[STDERR], 2) < 0))
    return fail(failure, errno, "failed", "the process's stdio: %s", strerror(errno));
  int result = libcrun_container_exec(context, call->id, process, &error);
  if (call->terminal) {
    *master = receive_master(console);
    unlink(name);
    close(console);
    if (result >= 0 && *master < 0)
      return fail(failure, EPROTO, "failed", "exec: the terminal did not come");
  }
  if (result >= 0)
    return 0;
  fail_libcrun(failure, result, &error, "exec");
  snprintf(failure->kind, sizeof failure->kind, "exec");
  if (call->terminal)
    explain_exec(*master, failure);
  return failure->result;
}

int run_exec(const struct call *call, struct answer *answer) {
  struct failure *failure = &answer->failure;
  runtime_spec_schema_config_schema_process *process = NULL;
  char pid_path[32], pid_text[32] = "";
  int master = -1, pid_file = memfd_create("pid", MFD_CLOEXEC);
  struct libcrun_context_s context = {
      .state_root = call->root,
      .id = call->id,
      .bundle = "",
      .pid_file = pid_path,
      .fifo_exec_wait_fd = -1,
      .detach = true,
  };
  if (pid_file < 0)
    return fail(failure, errno, "failed", "memfd: %s", strerror(errno));
  prctl(PR_SET_CHILD_SUBREAPER, 1); /* the process becomes its child */
  snprintf(pid_path, sizeof pid_path, "/proc/self/fd/%d", pid_file);
  if (parse_process(call, &process, failure) == 0 && call_libcrun(call, &master, &context, process, answer) == 0 &&
      pread(pid_file, pid_text, sizeof pid_text - 1, 0) > 0)
    answer->pid = atoi(pid_text);
  if (process != NULL)
    free_runtime_spec_schema_config_schema_process(process);
  null_stdio(-1, -1);
  close(pid_file);
  if (failure->result < 0)
    return failure->result;
  answer_and_stay(answer);
  const int terminal[] = {master, call->fds[STDIN], call->fds[STDOUT]};
  become_watcher(call->monitor, answer->pid, call->fds[CONTROL], call->terminal ? terminal : NULL);
  _exit(127);
}
