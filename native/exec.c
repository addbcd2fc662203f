/* A process in a running container, whose watcher reports its end and ends it when the caller is gone. */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <ocispec/json_common.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STDIN, STDOUT, STDERR, CONTROL, ENDS };

struct exec {
  const char *root, *id, *process, *monitor;
  bool terminal;
  int rows, columns;
  int ours[ENDS], theirs[ENDS]; /* with a terminal STDERR is not there */
  int master;                   /* in the child, with a terminal */
};

static void close_ends(int fds[ENDS]) {
  for (int i = 0; i < ENDS; i++) {
    if (fds[i] >= 0)
      close(fds[i]);
    fds[i] = -1;
  }
}

static int open_ends(struct exec *exec, struct failure *failure) {
  for (int i = STDIN; i < ENDS; i++) {
    int ends[2];
    if (i == STDERR && exec->terminal)
      continue;
    if (i == CONTROL ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 : pipe2(ends, O_CLOEXEC) < 0)
      return fail(failure, errno, "failed", "pipe: %s", strerror(errno));
    exec->ours[i] = ends[i == STDIN ? 1 : 0];
    exec->theirs[i] = ends[i == STDIN ? 0 : 1];
  }
  return 0;
}

/* A listening socket to which libcrun sends the terminal's master. It lies in the container's state folder, which
   is the current folder from here on: a socket's path has at most 107 bytes. */
static int open_console(const struct exec *exec, struct sockaddr_un *address, struct failure *failure) {
  char folder[4096];
  int console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  snprintf(folder, sizeof folder, "%s/%s", exec->root, exec->id);
  address->sun_family = AF_UNIX;
  snprintf(address->sun_path, sizeof address->sun_path, "console.%d", getpid());
  if (console < 0 || chdir(folder) < 0 || bind(console, (struct sockaddr *)address, sizeof *address) < 0 ||
      listen(console, 1) < 0)
    fail(failure, errno, "failed", "a socket for the terminal: %s", strerror(errno));
  return console;
}

/* The terminal's master, which libcrun has sent by now; -1 where it has not. */
static int receive_master(int console) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {0};
  char name[64];
  struct iovec data = {.iov_base = name, .iov_len = sizeof name};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int master = -1, connection = accept4(console, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0)
    return -1;
  if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) >= 0) {
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
      memcpy(&master, CMSG_DATA(header), sizeof master);
  }
  close(connection);
  return master;
}

static void set_terminal(const struct exec *exec, runtime_spec_schema_config_schema_process *process) {
  process->terminal = exec->terminal;
  if (exec->terminal && process->console_size == NULL)
    process->console_size = calloc(1, sizeof *process->console_size);
  if (process->console_size != NULL) {
    process->console_size->height = exec->rows;
    process->console_size->width = exec->columns;
  }
}

/* The caller frees `*process`. */
static int parse_process(const struct exec *exec, runtime_spec_schema_config_schema_process **process,
                         struct failure *failure) {
  struct parser_context context = {0, NULL};
  parser_error reason = NULL;
  char text[256] = "";
  yajl_val tree = yajl_tree_parse(exec->process, text, sizeof text);
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
    set_terminal(exec, *process);
  free(reason);
  yajl_tree_free(tree);
  return failure->result;
}

/* libcrun 1.21 says why a program cannot be run on the process's own stderr, and nowhere else. */
static void explain(int from, struct failure *failure) {
  char said[sizeof failure->stderr_tail] = "";
  if (from < 0)
    return;
  fcntl(from, F_SETFL, O_NONBLOCK);
  read_tail(from, said, sizeof said);
  said[strcspn(said, "\r\n")] = '\0';
  char *text = said, *colour = strstr(said, "?[0m");
  if (strncmp(said, "?[", 2) == 0 && strstr(said, "Z: ") != NULL) { /* on a terminal: colour, time, text, colour */
    text = strstr(said, "Z: ") + 3;
    if (colour != NULL)
      *colour = '\0';
  }
  failure->exit_code = strstr(said, "No such file") != NULL || strstr(said, "not found") != NULL ? 127 : 126;
  if (text[0] != '\0')
    snprintf(failure->message, sizeof failure->message, "exec: %.2000s", text);
}

static int call_libcrun(struct exec *exec, struct libcrun_context_s *context,
                        runtime_spec_schema_config_schema_process *process, struct answer *answer) {
  struct failure *failure = &answer->failure;
  struct sockaddr_un address = {0};
  libcrun_error_t error = NULL;
  int console = exec->terminal ? open_console(exec, &address, failure) : -1;
  if (failure->result < 0)
    return failure->result;
  context->console_socket = exec->terminal ? address.sun_path : NULL;
  for (int i = STDIN; i <= STDERR && !exec->terminal; i++)
    dup2(exec->theirs[i], i);
  int result = libcrun_container_exec(context, exec->id, process, &error);
  if (exec->terminal) {
    exec->master = receive_master(console);
    unlink(address.sun_path);
    close(console);
    if (result >= 0 && exec->master < 0)
      return fail(failure, EPROTO, "failed", "exec: the terminal did not come");
  }
  if (result >= 0)
    return 0;
  fail_libcrun(failure, result, &error, "exec");
  snprintf(failure->kind, sizeof failure->kind, "exec");
  if (exec->terminal)
    explain(exec->master, failure);
  return failure->result;
}

static int run_exec(void *arguments, struct answer *answer) {
  struct exec *exec = arguments;
  struct failure *failure = &answer->failure;
  runtime_spec_schema_config_schema_process *process = NULL;
  char pid_path[32], pid_text[32] = "";
  int pid_file = memfd_create("pid", MFD_CLOEXEC);
  struct libcrun_context_s context = {
      .state_root = exec->root,
      .id = exec->id,
      .bundle = "",
      .pid_file = pid_path,
      .fifo_exec_wait_fd = -1,
      .detach = true,
  };
  if (pid_file < 0)
    return fail(failure, errno, "failed", "memfd: %s", strerror(errno));
  snprintf(pid_path, sizeof pid_path, "/proc/self/fd/%d", pid_file);
  if (parse_process(exec, &process, failure) == 0 && call_libcrun(exec, &context, process, answer) == 0 &&
      pread(pid_file, pid_text, sizeof pid_text - 1, 0) > 0)
    answer->pid = atoi(pid_text);
  if (process != NULL)
    free_runtime_spec_schema_config_schema_process(process);
  null_stdio(-1, -1);
  close(pid_file);
  return failure->result;
}

/* Only the process itself keeps its pipes; with a terminal the watcher passes between them and its master. */
static void stay_as_watcher(void *arguments, const struct answer *answer) {
  struct exec *exec = arguments;
  const int kept[] = {exec->theirs[CONTROL], exec->master, exec->theirs[STDIN], exec->theirs[STDOUT]};
  char numbers[5][16];
  char *argv[8] = {"nexcage-monitor", "exec"}, *environment[] = {NULL};
  snprintf(numbers[0], sizeof numbers[0], "%d", answer->pid);
  argv[2] = numbers[0];
  for (int i = 0; i < (exec->terminal ? 4 : 1); i++) {
    fcntl(kept[i], F_SETFD, 0);
    snprintf(numbers[i + 1], sizeof numbers[i + 1], "%d", kept[i]);
    argv[i + 3] = numbers[i + 1];
  }
  execve(exec->monitor, argv, environment);
}

static int start(struct exec *exec, int timeout_ms, struct failure *failure, char *json, size_t json_size) {
  struct answer answer = {0};
  int keep[ENDS];
  struct work work = {
      .run = run_exec, .stay = stay_as_watcher, .arguments = exec, .keep = keep, .timeout_ms = timeout_ms};
  if (open_ends(exec, failure) < 0)
    return failure->result;
  for (int i = 0; i < ENDS; i++)
    if (exec->theirs[i] >= 0)
      keep[work.keep_count++] = exec->theirs[i];
  run_in_child(&work, &answer, failure);
  close_ends(exec->theirs);
  if (failure->result < 0) {
    if (strcmp(failure->kind, "exec") == 0)
      explain(exec->ours[STDERR], failure);
    return failure->result;
  }
  snprintf(json, json_size, "{\"pid\":%d,\"stdin\":%d,\"stdout\":%d,\"stderr\":%d,\"control\":%d}", answer.pid,
           exec->ours[STDIN], exec->ours[STDOUT], exec->ours[STDERR], exec->ours[CONTROL]);
  return 0;
}

EXPORT int ncx_exec(const char *root, const char *id, const char *process, int terminal, int rows, int columns,
                    const char *monitor, int timeout_ms, NCX_ANSWER) {
  struct failure failure = {0};
  enum container_status status;
  struct exec exec = {
      .root = root,
      .id = id,
      .process = process,
      .monitor = monitor,
      .terminal = terminal != 0,
      .rows = rows,
      .columns = columns,
      .ours = {-1, -1, -1, -1},
      .theirs = {-1, -1, -1, -1},
      .master = -1,
  };
  if (look_running(root, id, &status, &failure) < 0)
    return give_failure(&failure, error, error_size);
  if (access(monitor, X_OK) < 0)
    fail(&failure, errno, "failed", "the monitor %.300s: %s", monitor, strerror(errno));
  else
    start(&exec, timeout_ms, &failure, json, json_size);
  if (failure.result == 0)
    return 0;
  close_ends(exec.theirs);
  close_ends(exec.ours);
  return give_failure(&failure, error, error_size);
}
