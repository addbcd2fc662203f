/* nexcage-shim: runs the program of an OCI runtime, such as runc, so that a container's init, or a process in one,
   becomes a child of this process, which then becomes nexcage-monitor (monitor.c).

     nexcage-shim create  MONITOR IO LOG MAX_BYTES RECORD PID_FILE TIMEOUT_MS LOWER UPPER WORK ROOTFS PROGRAM ARGUMENT…
     nexcage-shim attach  MONITOR IO LOG MAX_BYTES RECORD PID
     nexcage-shim exec    MONITOR FOLDER CONSOLE PID_FILE TIMEOUT_MS PROGRAM ARGUMENT…
     nexcage-shim overlay FOLDER

   Only the agent starts it (agent/backends/runc). It answers on descriptor 3, a line and its end: "done PID", or
   "KIND MESSAGE" of why not, a KIND of ncx.h's.
   - `create`: MONITOR to RECORD as ncx_create has them. PROGRAM is to make a container and to write its init's pid
     into PID_FILE. LOWER, UPPER and WORK are mounted on ROOTFS as an overlay that only PROGRAM and the container
     see; "" for none. What PROGRAM says on stderr is the message when it fails.
   - `exec`: PROGRAM is to run a process in the background. Its stdin, stdout and stderr are this program's, and
     CONTROL is descriptor 4 (ncx_exec). With CONSOLE it is given a terminal there: a socket in FOLDER, which is the
     current folder; stdin and stdout are then passed on.
   - `overlay`: as ncx_can_overlay; "done 1" or "done 0". */
#define _GNU_SOURCE
#include "console.h"
#include "inherit.h"
#include "overlay.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER = 3, CONTROL = 4 };

static void __attribute__((noreturn)) answer_failure(const struct failure *failure) {
  dprintf(ANSWER, "%s %s%s%s\n", failure->kind, failure->message, failure->stderr_tail[0] == '\0' ? "" : "\n",
          failure->stderr_tail);
  exit(1);
}

static void answer_pid(int pid) {
  dprintf(ANSWER, "done %d\n", pid);
  close(ANSWER);
}

static void __attribute__((noreturn)) run_program(pid_t shim, char **program, const struct overlay *overlay,
                                                  const char *rootfs) {
  struct failure failure = {0};
  int host = -1;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* what was cut off does not go on behind its caller's back */
  if (getppid() != shim)
    _exit(1);
  signal(SIGPIPE, SIG_DFL);
  setsid();
  if (overlay != NULL && (leave_host_mounts(&host, &failure) < 0 || mount_overlay(overlay, rootfs, &failure) < 0)) {
    fprintf(stderr, "%s\n", failure.message);
    _exit(1);
  }
  if (host >= 0)
    close(host);
  execvp(program[0], program);
  fprintf(stderr, "%s: %s\n", program[0], strerror(errno));
  _exit(127);
}

/* Until it has ended, or its time is over: then it and its group are killed. */
static int wait_for(pid_t pid, int timeout_ms, struct failure *failure) {
  int status, event = syscall(SYS_pidfd_open, pid, 0);
  struct pollfd wait = {.fd = event, .events = POLLIN};
  int ready = event < 0 ? 1 : poll(&wait, 1, timeout_ms);
  if (event >= 0)
    close(event);
  if (ready == 0) {
    kill(-pid, SIGKILL);
    fail(failure, ETIMEDOUT, "timeout", "it did not end within %d ms", timeout_ms);
  }
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  if (failure->result < 0)
    return failure->result;
  if (WIFSIGNALED(status))
    return fail(failure, EPROTO, "failed", "it was killed by signal %d", WTERMSIG(status));
  return WEXITSTATUS(status) == 0
             ? 0
             : fail(failure, EPROTO, "failed", "it ended with status %d", WEXITSTATUS(status));
}

static int read_pid(const char *path, struct failure *failure) {
  char text[32] = "";
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0)
    close(fd);
  unlink(path);
  if (count <= 0 || atoi(text) <= 0)
    return fail(failure, EPROTO, "failed", "it left no pid in %.300s", path);
  return atoi(text);
}

static struct watch watch_of(char **arguments) {
  return (struct watch){
      .monitor = arguments[0],
      .io = arguments[1],
      .log = arguments[2],
      .log_max_bytes = atoll(arguments[3]),
      .exit_record = arguments[4],
      .reader = {-1, -1},
      .lock = -1,
  };
}

static int create(char **arguments) {
  struct watch watch = watch_of(arguments);
  const char *pid_file = arguments[5], *rootfs = arguments[10];
  struct overlay overlay = {arguments[7], arguments[8], arguments[9]};
  struct failure failure = {0};
  int output[2] = {-1, -1};
  if (open_watch(&watch, true, &failure) < 0 || open_outputs(&watch, output, &failure) < 0)
    answer_failure(&failure);
  prctl(PR_SET_CHILD_SUBREAPER, 1); /* the container's processes become its children */
  null_stdio(output[0], output[1]);
  pid_t shim = getpid(), program = fork();
  if (program == 0)
    run_program(shim, arguments + 11, overlay.lower[0] == '\0' ? NULL : &overlay, rootfs);
  int pid = -1;
  if (program < 0)
    fail(&failure, errno, "failed", "fork: %s", strerror(errno));
  else if (wait_for(program, atoi(arguments[6]), &failure) == 0)
    pid = read_pid(pid_file, &failure);
  null_stdio(-1, -1); /* from here on only the container writes into its pipes */
  for (int i = 0; i < 2; i++)
    close(output[i]);
  if (failure.result < 0) {
    read_tail(watch.reader[1], failure.stderr_tail, sizeof failure.stderr_tail);
    remove_fifos(&watch);
    answer_failure(&failure);
  }
  answer_pid(pid);
  become_monitor(&watch, "run", pid);
  return 127;
}

static int attach(char **arguments) {
  struct watch watch = watch_of(arguments);
  struct failure failure = {0};
  if (open_watch(&watch, false, &failure) < 0)
    answer_failure(&failure);
  null_stdio(-1, -1);
  answer_pid(getpid());
  become_monitor(&watch, "attach", atoi(arguments[5]));
  return 127;
}

static int exec(char **arguments) {
  const char *monitor = arguments[0], *console_name = arguments[2], *pid_file = arguments[3];
  struct failure failure = {0};
  bool has_terminal = console_name[0] != '\0';
  int pid = -1, console = -1, terminal[3] = {-1, -1, -1};
  if (chdir(arguments[1]) < 0) {
    fail(&failure, errno, "failed", "%.300s: %s", arguments[1], strerror(errno));
    answer_failure(&failure);
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1); /* the process becomes its child */
  fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
  if (has_terminal) {
    terminal[1] = fcntl(0, F_DUPFD_CLOEXEC, CONTROL + 1);
    terminal[2] = fcntl(1, F_DUPFD_CLOEXEC, CONTROL + 1);
    null_stdio(-1, 2); /* what PROGRAM says stays */
    console = open_console(console_name, &failure);
  }
  pid_t shim = getpid(), program = failure.result < 0 ? -1 : fork();
  if (program == 0)
    run_program(shim, arguments + 5, NULL, NULL);
  if (program > 0 && wait_for(program, atoi(arguments[4]), &failure) == 0)
    pid = read_pid(pid_file, &failure);
  if (has_terminal && pid > 0 && (terminal[0] = receive_master(console)) < 0) {
    kill(pid, SIGKILL);
    fail(&failure, EPROTO, "failed", "the terminal did not come");
  }
  if (has_terminal)
    unlink(console_name);
  null_stdio(-1, -1);
  if (program < 0 && failure.result == 0)
    fail(&failure, errno, "failed", "fork: %s", strerror(errno));
  if (failure.result < 0)
    answer_failure(&failure);
  answer_pid(pid);
  become_watcher(monitor, pid, CONTROL, has_terminal ? terminal : NULL);
  return 127;
}

int main(int count, char **arguments) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_IGN); /* who asked may be gone; a monitor is needed all the same */
  bool is_exec = count > 1 && strcmp(arguments[1], "exec") == 0;
  forget_caller(is_exec ? CONTROL + 1 : CONTROL);
  fcntl(ANSWER, F_SETFD, FD_CLOEXEC);
  if (is_exec && count > 7)
    return exec(arguments + 2);
  if (count > 13 && strcmp(arguments[1], "create") == 0)
    return create(arguments + 2);
  if (count == 8 && strcmp(arguments[1], "attach") == 0)
    return attach(arguments + 2);
  if (count == 3 && strcmp(arguments[1], "overlay") == 0) {
    struct failure failure = {0};
    bool is_possible = false;
    if (try_overlay(arguments[2], &is_possible, &failure) < 0)
      answer_failure(&failure);
    answer_pid(is_possible);
    return 0;
  }
  fputs("nexcage-shim is started by nexcage-agent only\n", stderr);
  return 2;
}
