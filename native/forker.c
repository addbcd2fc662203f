/* nexcage-forker: has libcrun, and forks for each call that changes something. Only libncx starts it (ncx.h).

   Its own stdin is the other end of a socket of the library's. A packet there is a call: its time limit, its
   socket, where its stderr goes, and descriptors for the work. The call itself is read by the forked child from
   the call's socket, and answered there (call.c); when a child has ended without an answer, the forker answers.
   Nobody waits for the end of that socket, because the container's init inherits it until its own exec.

   It is small, so that a fork of it, and libcrun's forks of that one, copy little. It has one thread, and never
   waits for one call. A child is killed when its time is up, or when the forker dies, so that a call that was
   cut off does not go on behind its caller's back. When the library closes its end, or dies, the calls under way
   finish first. */
#define _GNU_SOURCE
#include "forker.h"
#include "inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int (*const works[WORKS])(const struct call *call, struct answer *answer) = {
    [START] = run_start,   [KILL] = run_kill,     [DELETE] = run_delete,           [PAUSE] = run_pause,
    [RESUME] = run_resume, [UPDATE] = run_update, [TRY_OVERLAY] = run_try_overlay, [CREATE] = run_create,
    [ATTACH] = run_attach, [EXEC] = run_exec,
};

struct child {
  struct child *next;
  pid_t pid;
  int socket;
  int timeout_ms;
  int64_t deadline_ms;
  bool is_late; /* and killed */
};

static pid_t forker;
static int call_socket; /* in a child */
static int signals;     /* of children: SIGCHLD, and that it stays */
static struct child *children;

static int stays(void) {
  return SIGRTMIN;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void answer_and_stay(struct answer *answer) {
  answer->lasting_pid = getpid();
  prctl(PR_SET_PDEATHSIG, 0);
  while (sigqueue(forker, stays(), (union sigval){0}) < 0 && errno == EAGAIN)
    sched_yield();
  send_answer(call_socket, answer);
  close(call_socket);
}

/* `fds`: the call's socket, its stderr, and what the work needs. */
static void __attribute__((noreturn)) run_child(const int fds[2 + FDS_MAX]) {
  struct answer answer = {0};
  struct call call;
  sigset_t none;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != forker)
    _exit(1);
  close(signals);
  for (struct child *other = children; other != NULL; other = other->next)
    close(other->socket);
  dup2(1, 0); /* not the forker's calls */
  dup2(fds[1], 2);
  close(fds[1]);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  survive_broken_pipes();
  call_socket = fds[0];
  char *texts = receive_call(call_socket, &call);
  if (texts == NULL)
    _exit(1);
  memcpy(call.fds, fds + 2, sizeof call.fds);
  answer.failure.result = works[call.work](&call, &answer);
  send_answer(call_socket, &answer);
  _exit(0);
}

static void forget(pid_t pid, int status, bool has_ended) {
  struct child **place = &children, *child;
  struct answer answer = {0};
  while (*place != NULL && (*place)->pid != pid)
    place = &(*place)->next;
  child = *place;
  if (child == NULL || (!has_ended && child->is_late)) /* one that stayed; and one that is being killed */
    return;
  if (child->is_late)
    fail(&answer.failure, ETIMEDOUT, "timeout", "libcrun did not answer within %d ms", child->timeout_ms);
  else if (WIFSIGNALED(status))
    fail(&answer.failure, EPROTO, "failed", "libcrun crashed: signal %d", WTERMSIG(status));
  else
    fail(&answer.failure, EPROTO, "failed", "libcrun gave up");
  if (has_ended)
    send_answer(child->socket, &answer); /* comes second, and is not read, where the child has answered */
  *place = child->next;
  close(child->socket);
  free(child);
}

static void hear_children(void) {
  struct signalfd_siginfo heard;
  int status;
  pid_t pid;
  while (read(signals, &heard, sizeof heard) == sizeof heard)
    if (heard.ssi_signo == (uint32_t)stays())
      forget(heard.ssi_pid, 0, false);
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    forget(pid, status, true);
}

/* Takes `fds`. */
static void fork_child(int timeout_ms, const int fds[2 + FDS_MAX], size_t fd_count) {
  struct child *child = calloc(1, sizeof *child);
  pid_t pid = child == NULL ? -1 : fork();
  if (pid == 0)
    run_child(fds);
  for (size_t i = 1; i < fd_count; i++)
    close(fds[i]);
  if (pid < 0) {
    struct answer answer = {0};
    fail(&answer.failure, errno, "failed", "fork: %s", strerror(errno));
    send_answer(fds[0], &answer);
    close(fds[0]);
    free(child);
    return;
  }
  *child = (struct child){.next = children,
                          .pid = pid,
                          .socket = fds[0],
                          .timeout_ms = timeout_ms,
                          .deadline_ms = now_ms() + timeout_ms};
  children = child;
}

/* False when there will be no more calls. */
static bool take_call(void) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE((2 + FDS_MAX) * sizeof(int))];
  } control;
  int timeout_ms = 0, fds[2 + FDS_MAX] = {0};
  struct iovec data = {.iov_base = &timeout_ms, .iov_len = sizeof timeout_ms};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t count = recvmsg(0, &message, MSG_CMSG_CLOEXEC);
  if (count <= 0)
    return count < 0 && errno == EINTR;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  size_t fd_count = header == NULL ? 0 : (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
  if (fd_count > 0)
    memcpy(fds, CMSG_DATA(header), fd_count * sizeof *fds);
  if (fd_count >= 2 && !(message.msg_flags & MSG_CTRUNC)) {
    fork_child(timeout_ms, fds, fd_count);
    return true;
  }
  for (size_t i = 0; i < fd_count; i++) /* out of descriptors: its caller sees the end of the call's socket */
    close(fds[i]);
  return true;
}

/* How long until the next is late, for poll. */
static int kill_late_children(void) {
  int64_t now = now_ms(), next = -1;
  for (struct child *child = children; child != NULL; child = child->next) {
    int64_t left = child->deadline_ms - now;
    if (child->is_late)
      continue;
    if (left <= 0) {
      child->is_late = true;
      kill(child->pid, SIGKILL);
    } else if (next < 0 || left < next) {
      next = left;
    }
  }
  return (int)next;
}

int main(void) {
  sigset_t heard;
  bool may_come = true;
  forker = getpid();
  prctl(PR_SET_NAME, "nexcage-forker"); /* run by descriptor, it has none */
  forget_caller(3);
  sigemptyset(&heard);
  sigaddset(&heard, SIGCHLD);
  sigaddset(&heard, stays());
  sigprocmask(SIG_SETMASK, &heard, NULL);
  signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0 || chdir("/") < 0)
    return 1;
  while (may_come || children != NULL) {
    struct pollfd wait[] = {{.fd = signals, .events = POLLIN}, {.fd = may_come ? 0 : -1, .events = POLLIN}};
    if (poll(wait, 2, kill_late_children()) < 0)
      continue;
    if (wait[0].revents)
      hear_children();
    if (wait[1].revents)
      may_come = take_call();
  }
  return 0;
}
