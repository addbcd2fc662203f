/* Each call that changes something runs in a forked child: libcrun calls chdir, blocks signals and may exit. */
#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NO_EVENT_MS = 5 };

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Appends what is there to read, without waiting; keeps the last `tail_size` - 1 bytes. */
void read_tail(int fd, char *tail, size_t tail_size) {
  char chunk[1024];
  ssize_t count;
  size_t length = strlen(tail);
  while ((count = read(fd, chunk, sizeof chunk)) > 0 || (count < 0 && errno == EINTR)) {
    for (ssize_t i = 0; i < count; i++) {
      if (length == tail_size - 1) {
        memmove(tail, tail + 1, --length);
      }
      /* A NUL would end the text, and what is not ASCII may be half a character: the text becomes JSON. */
      tail[length++] = (chunk[i] == '\n' || (chunk[i] >= ' ' && chunk[i] < 127)) ? chunk[i] : '?';
      tail[length] = '\0';
    }
  }
}

/* Readable when the child has ended; -1 where descriptors have run out, and then it must be asked for. */
static int open_end_event(pid_t pid) {
  return syscall(SYS_pidfd_open, pid, 0);
}

static bool has_ended(pid_t pid) {
  siginfo_t info = {0};
  return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

static int compare_ints(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

static void close_all_but(const int *keep, size_t keep_count) {
  int sorted[16];
  int from = 3;
  for (size_t i = 0; i < keep_count; i++)
    sorted[i] = keep[i];
  qsort(sorted, keep_count, sizeof *sorted, compare_ints);
  for (size_t i = 0; i < keep_count; i++) {
    if (sorted[i] < from)
      continue;
    if (sorted[i] > from)
      close_range(from, sorted[i] - 1, 0);
    from = sorted[i] + 1;
  }
  close_range(from, ~0U, 0);
}

int null_stdio(int out, int err) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0)
    return -errno;
  if (dup2(null, 0) < 0 || dup2(out < 0 ? null : out, 1) < 0 || dup2(err < 0 ? null : err, 2) < 0)
    return -errno;
  if (null > 2)
    close(null);
  return 0;
}

/* Takes off what Node put on this process, because the container's init would inherit it. */
static void forget_caller(const struct work *work, int stderr_fd) {
  static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  static char *environment[] = {path, NULL};
  struct rlimit files;
  sigset_t none;
  setsid(); /* a Ctrl-C is for the caller, not for a half-made container */
  for (int signal = 1; signal <= SIGRTMAX; signal++) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(signal, &action, NULL);
  }
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > 1024) {
    files.rlim_cur = files.rlim_max < 1024 ? files.rlim_max : 1024; /* Node raises it to the hard limit */
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (work->inherit_stdio) {
    for (int fd = 0; fd <= 2; fd++) {
      int flags = fcntl(fd, F_GETFL);
      if (flags >= 0 && (flags & O_NONBLOCK))
        fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    }
  } else {
    null_stdio(-1, stderr_fd);
  }
  close_all_but(work->keep, work->keep_count);
  environ = environment; /* clearenv takes a lock that another thread may have held at the fork */
}

/* The child's child: does the work, says so with one byte, and stays. */
static void __attribute__((noreturn)) run_and_stay(const struct work *work, struct answer *answer, int done) {
  pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* until it has answered, who gives up on it ends it */
  if (getppid() != parent)
    _exit(1);
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1); /* the container's processes become its children */
  answer->lasting_pid = getpid();
  answer->failure.result = work->run(work->arguments, answer);
  answer->done = true;
  prctl(PR_SET_PDEATHSIG, 0);
  if (answer->failure.result < 0)
    _exit(0);
  while (write(done, "", 1) < 0 && errno == EINTR)
    ;
  close(done);
  work->stay(work->arguments, answer);
  _exit(127);
}

/* In the child: waits until its own child has answered or is dead. Then it ends, and the other one is nobody's. */
static int fork_again(const struct work *work, struct answer *answer) {
  int done[2];
  if (pipe2(done, O_CLOEXEC) < 0)
    return fail(&answer->failure, errno, "failed", "pipe: %s", strerror(errno));
  pid_t pid = fork();
  if (pid < 0)
    return fail(&answer->failure, errno, "failed", "fork: %s", strerror(errno));
  if (pid == 0) {
    close(done[0]);
    run_and_stay(work, answer, done[1]);
  }
  close(done[1]);
  int status = 0;
  struct pollfd wait[] = {{.fd = done[0], .events = POLLIN}, {.fd = open_end_event(pid), .events = POLLIN}};
  while (!has_ended(pid) && !(wait[0].revents & POLLIN))
    poll(wait, 2, wait[1].fd < 0 ? NO_EVENT_MS : -1);
  poll(wait, 1, 0); /* it may have answered and ended since */
  if (wait[0].revents & POLLIN)
    return 0;
  waitpid(pid, &status, 0);
  if (answer->done)
    return answer->failure.result;
  answer->done = true;
  if (WIFSIGNALED(status))
    return fail(&answer->failure, EPROTO, "failed", "libcrun crashed: signal %d", WTERMSIG(status));
  return fail(&answer->failure, EPROTO, "failed", "libcrun gave up");
}

/* libcrun's exit() (native/build wraps it): in a forked child the caller's exit handlers must not run. Node 24's
   would write into the io_uring that it shares with the child, and later the caller aborts. */
void __attribute__((noreturn)) __wrap_exit(int status) {
  _exit(status);
}

static void __attribute__((noreturn)) child(const struct work *work, struct answer *answer, int stderr_fd) {
  forget_libcrun_lock();
  forget_caller(work, stderr_fd);
  if (work->stay != NULL) {
    answer->failure.result = fork_again(work, answer);
  } else {
    answer->failure.result = work->run(work->arguments, answer);
    answer->done = true;
  }
  _exit(0);
}

/* True when it ended in time; then it is reaped, and its last words are in `tail`. */
static bool wait_for(pid_t pid, int stderr_fd, int timeout_ms, int *status, char *tail, size_t tail_size) {
  int64_t deadline = now_ms() + timeout_ms;
  struct pollfd wait[] = {{.fd = open_end_event(pid), .events = POLLIN}, {.fd = stderr_fd, .events = POLLIN}};
  bool in_time = true;
  while (in_time && !has_ended(pid)) {
    int64_t left = deadline - now_ms();
    in_time = left > 0;
    if (!in_time)
      kill(pid, SIGKILL);
    else if (poll(wait, 2, wait[0].fd < 0 && left > NO_EVENT_MS ? NO_EVENT_MS : (int)left) <= 0)
      continue;
    if (wait[1].revents & POLLIN)
      read_tail(stderr_fd, tail, tail_size);
    else if (wait[1].revents)
      wait[1].fd = -1; /* nobody writes any more */
  }
  while (waitpid(pid, status, 0) < 0 && errno == EINTR)
    ;
  read_tail(stderr_fd, tail, tail_size); /* not to its end: a hook may have kept it open */
  if (wait[0].fd >= 0)
    close(wait[0].fd);
  return in_time;
}

static pid_t fork_quietly(const struct work *work, struct answer *answer, int stderr_fd) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of the caller's runs in the child */
  pid_t pid = fork();
  if (pid == 0)
    child(work, answer, stderr_fd);
  int errnum = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = errnum;
  return pid;
}

int run_in_child(const struct work *work, struct answer *result, struct failure *failure) {
  int output[2] = {-1, -1}, status = 0;
  char tail[sizeof failure->stderr_tail] = "";
  struct answer *answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (answer == MAP_FAILED)
    return fail(failure, errno, "failed", "mmap: %s", strerror(errno));
  if (pipe2(output, O_CLOEXEC) < 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) < 0) {
    fail(failure, errno, "failed", "pipe: %s", strerror(errno));
    goto cleanup;
  }
  pid_t pid = fork_quietly(work, answer, output[1]);
  if (pid < 0) {
    fail(failure, errno, "failed", "fork: %s", strerror(errno));
    goto cleanup;
  }
  close(output[1]);
  output[1] = -1;
  bool in_time = wait_for(pid, output[0], work->timeout_ms, &status, tail, sizeof tail);
  *result = *answer;
  *failure = answer->failure;
  if (!answer->done) {
    if (!in_time)
      fail(failure, ETIMEDOUT, "timeout", "libcrun did not answer within %d ms", work->timeout_ms);
    else if (WIFSIGNALED(status))
      fail(failure, EPROTO, "failed", "libcrun crashed: signal %d", WTERMSIG(status));
    else
      fail(failure, EPROTO, "failed", "libcrun gave up");
  }
  if (failure->result < 0) { /* what the child has read elsewhere comes after */
    size_t length = strlen(tail), rest = sizeof failure->stderr_tail - length;
    memmove(failure->stderr_tail + length, failure->stderr_tail, rest);
    memcpy(failure->stderr_tail, tail, length);
    failure->stderr_tail[sizeof failure->stderr_tail - 1] = '\0';
  }
cleanup:
  for (int i = 0; i < 2; i++)
    if (output[i] >= 0)
      close(output[i]);
  munmap(answer, sizeof *answer);
  return failure->result;
}
