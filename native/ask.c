/* The library's side of the forker (forker.c): starts it when it is needed, and asks it. */
#define _GNU_SOURCE
#include "internal.h"
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* After a call's own time limit its answer is on its way, unless the forker itself stands still. */
enum { GRACE_MS = 10 * 1000 };

struct forker {
  pid_t pid;
  int socket; /* it ends when this does, and this when it does */
  int users;  /* calls under way */
  bool has_ended;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for all of this: */
static struct forker *current;
static char program[4096];

EXPORT int ncx_open(const char *forker, NCX_ANSWER) {
  struct failure failure = {0};
  errno = ENAMETOOLONG;
  if (strlen(forker) >= sizeof program || access(forker, X_OK) < 0) {
    fail(&failure, errno, "failed", "the forker %.300s: %s", forker, strerror(errno));
    return give_failure(&failure, error, error_size);
  }
  pthread_mutex_lock(&lock);
  strcpy(program, forker);
  pthread_mutex_unlock(&lock);
  snprintf(json, json_size, "{}");
  return 0;
}

/* A new process without a copy of this one's memory, which is what makes a fork of Node slow. It does not inherit
   Node's signals, and not its session: a Ctrl-C is for the caller. The rest the forker takes off itself. */
static int spawn(pid_t *pid, int socket) {
  static char name[] = "nexcage-forker", path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  char *arguments[] = {name, NULL}, *environment[] = {path, NULL};
  char sealed_path[32];
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t all;
  int sealed = open_sealed(program); /* else libcrun's constructor makes a sealed copy of it, which is slower */
  snprintf(sealed_path, sizeof sealed_path, "/proc/self/fd/%d", sealed);
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, socket, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF);
  memset(&all, 0xff, sizeof all); /* sigfillset leaves out 32 and 33, which posix_spawn would then ignore */
  posix_spawnattr_setsigdefault(&attributes, &all);
  int errnum = posix_spawn(pid, sealed < 0 ? program : sealed_path, &files, &attributes, arguments, environment);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (sealed >= 0)
    close(sealed);
  return errnum;
}

static struct forker *start(struct failure *failure) {
  struct forker *forker = calloc(1, sizeof *forker);
  int ends[2];
  if (forker == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
    fail(failure, errno, "failed", "the forker: %s", strerror(errno));
    free(forker);
    return NULL;
  }
  int errnum = spawn(&forker->pid, ends[1]);
  close(ends[1]);
  forker->socket = ends[0];
  if (errnum == 0)
    return forker;
  fail(failure, errnum, "failed", "the forker %.300s: %s", program, strerror(errnum));
  close(ends[0]);
  free(forker);
  return NULL;
}

/* The forker that is there, else a new one; NULL with the reason. Give it back with leave(). */
static struct forker *enter(struct failure *failure) {
  pthread_mutex_lock(&lock);
  if (current == NULL)
    current = start(failure);
  struct forker *forker = current;
  if (forker != NULL)
    forker->users++;
  pthread_mutex_unlock(&lock);
  return forker;
}

/* `has_ended`: it was killed. Then its children are, too, once it is reaped, and the next call has a new one. */
static void leave(struct forker *forker, bool has_ended) {
  pthread_mutex_lock(&lock);
  if (has_ended && !forker->has_ended) {
    forker->has_ended = true;
    current = NULL;
    while (waitpid(forker->pid, NULL, 0) < 0 && errno == EINTR)
      ;
  }
  if (--forker->users == 0 && forker->has_ended) {
    close(forker->socket);
    free(forker);
  }
  pthread_mutex_unlock(&lock);
}

/* `fds` go with it: the call's socket, the end of its stderr, and what the work needs. */
static int send_request(const struct forker *forker, int timeout_ms, const int *fds, size_t fd_count) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE((2 + FDS_MAX) * sizeof(int))];
  } control = {0};
  struct iovec data = {.iov_base = &timeout_ms, .iov_len = sizeof timeout_ms};
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = CMSG_SPACE(fd_count * sizeof *fds)};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(fd_count * sizeof *fds);
  memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof *fds);
  ssize_t count;
  while ((count = sendmsg(forker->socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR)
    ;
  return count < 0 ? -errno : 0;
}

/* One that was killed while nobody looked is found here, and nothing is lost. */
static struct forker *request(int timeout_ms, const int *fds, size_t fd_count, struct failure *failure) {
  for (int attempt = 0;; attempt++) {
    struct forker *forker = enter(failure);
    if (forker == NULL)
      return NULL;
    int result = send_request(forker, timeout_ms, fds, fd_count);
    if (result == 0)
      return forker;
    leave(forker, result == -EPIPE || result == -ECONNRESET);
    if (attempt > 0 || (result != -EPIPE && result != -ECONNRESET)) {
      fail(failure, -result, "failed", "the forker: %s", strerror(-result));
      return NULL;
    }
  }
}

/* True with the answer. The last words on stderr are in the tail of its failure. `has_ended`: the forker has. */
static bool wait_for_answer(const struct forker *forker, int socket, int said, int timeout_ms, struct answer *answer,
                            bool *has_ended) {
  struct failure *failure = &answer->failure;
  char tail[sizeof failure->stderr_tail] = "";
  struct pollfd wait[] = {{.fd = socket, .events = POLLIN}, {.fd = forker->socket}, {.fd = said, .events = POLLIN}};
  while (!wait[0].revents && !wait[1].revents) {
    int count = poll(wait, 3, timeout_ms + GRACE_MS);
    if (count == 0 || (count < 0 && errno != EINTR))
      return false;
    if (wait[2].revents & POLLIN)
      read_tail(said, tail, sizeof tail);
    else if (wait[2].revents)
      wait[2].fd = -1; /* nobody writes any more */
  }
  *has_ended = wait[1].revents != 0;
  if (recv(socket, answer, sizeof *answer, MSG_DONTWAIT) != sizeof *answer)
    return false;
  if (failure->result < 0) {
    read_tail(said, tail, sizeof tail); /* not to its end: a hook may have kept it open */
    size_t length = strlen(tail), rest = sizeof failure->stderr_tail - length;
    memmove(failure->stderr_tail + length, failure->stderr_tail, rest); /* what the child has read elsewhere */
    memcpy(failure->stderr_tail, tail, length);
    failure->stderr_tail[sizeof failure->stderr_tail - 1] = '\0';
  }
  return true;
}

int ask(const struct call *call, struct answer *answer, struct failure *failure) {
  int socket[2] = {-1, -1}, said[2] = {-1, -1}, sent[2 + FDS_MAX];
  struct timeval limit = {.tv_sec = call->timeout_ms / 1000 + 1};
  struct forker *forker = NULL;
  bool has_ended = false;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socket) < 0 || pipe2(said, O_CLOEXEC) < 0 ||
      fcntl(said[0], F_SETFL, O_NONBLOCK) < 0 ||
      setsockopt(socket[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0) {
    fail(failure, errno, "failed", "pipe: %s", strerror(errno));
    goto cleanup;
  }
  sent[0] = socket[1];
  sent[1] = said[1];
  memcpy(sent + 2, call->fds, call->fd_count * sizeof *call->fds);
  forker = request(call->timeout_ms, sent, 2 + call->fd_count, failure);
  close(socket[1]);
  close(said[1]);
  socket[1] = said[1] = -1;
  if (forker == NULL)
    goto cleanup;
  int result = send_call(socket[0], call);
  if (result < 0 && result != -EPIPE && result != -ECONNRESET) /* else who should read it says why it does not */
    fail(failure, -result, "failed", "the forker: %s", strerror(-result));
  else if (wait_for_answer(forker, socket[0], said[0], call->timeout_ms, answer, &has_ended))
    *failure = answer->failure;
  else if (has_ended)
    fail(failure, ECONNRESET, "failed", "the process that runs libcrun was killed");
  else
    fail(failure, EPROTO, "failed", "the process that runs libcrun does not answer");
  leave(forker, has_ended);
cleanup:
  for (int i = 0; i < 2; i++) {
    if (socket[i] >= 0)
      close(socket[i]);
    if (said[i] >= 0)
      close(said[i]);
  }
  return failure->result;
}
