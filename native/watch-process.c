#define _GNU_SOURCE
#include "watch-process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes on their way in one direction. `from` is -1 after its end, `to` when nobody takes them any more. */
struct channel {
  int from, to;
  size_t length;
  char data[16 * 1024];
};

static struct channel typed = {-1, -1, 0, ""}, shown = {-1, -1, 0, ""};

int format_end(char *text, size_t size, int status) {
  if (WIFSIGNALED(status))
    return snprintf(text, size, "\"signal\":%d", WTERMSIG(status));
  return snprintf(text, size, "\"exitCode\":%d", WEXITSTATUS(status));
}

static bool has_room(const struct channel *channel) {
  return channel->length < sizeof channel->data;
}

/* Both descriptors do not block. */
static void pass(struct channel *channel, bool can_read, bool can_write) {
  ssize_t count;
  if (can_read && channel->from >= 0 && has_room(channel)) {
    count = read(channel->from, channel->data + channel->length, sizeof channel->data - channel->length);
    if (count > 0)
      channel->length += count;
    else if (count == 0 || (errno != EAGAIN && errno != EINTR)) /* EIO: nobody has the terminal open any more */
      channel->from = -1;
  }
  if ((can_read || can_write) && channel->length > 0) {
    count = channel->to < 0 ? (ssize_t)channel->length : write(channel->to, channel->data, channel->length);
    if (count < 0 && errno != EAGAIN && errno != EINTR) {
      channel->to = -1;
      count = channel->length;
    }
    if (count > 0) {
      channel->length -= count;
      memmove(channel->data, channel->data + count, channel->length);
    }
  }
}

static void set_size(int master, const char *text) {
  struct winsize size = {0};
  if (sscanf(text, "%hu %hu", &size.ws_row, &size.ws_col) == 2)
    ioctl(master, TIOCSWINSZ, &size);
}

/* False when the caller is gone. */
static bool read_control(int control, int master) {
  static char text[64];
  static size_t length;
  ssize_t count = recv(control, text + length, sizeof text - 1 - length, MSG_DONTWAIT);
  if (count < 0)
    return errno == EAGAIN || errno == EINTR;
  if (count == 0)
    return false;
  length += count;
  text[length] = '\0';
  char *end = strrchr(text, '\n');
  if (end == NULL) {
    length = length == sizeof text - 1 ? 0 : length; /* not ours */
    return true;
  }
  *end = '\0';
  char *last = strrchr(text, '\n');
  if (master >= 0)
    set_size(master, last == NULL ? text : last + 1);
  length = strlen(end + 1);
  memmove(text, end + 1, length);
  return true;
}

static void kill_group(int pid) {
  kill(-pid, SIGKILL); /* it leads a session of its own */
  kill(pid, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
    ;
}

static bool reap(int events, int pid, int *status) {
  struct signalfd_siginfo info;
  pid_t child;
  int child_status;
  bool has_ended = false;
  while (read(events, &info, sizeof info) > 0)
    ;
  while ((child = waitpid(-1, &child_status, WNOHANG)) > 0) {
    if (child != pid)
      continue;
    has_ended = true;
    *status = child_status;
  }
  return has_ended;
}

static void say_end(int control, int status) {
  char end[32], line[64];
  format_end(end, sizeof end, status);
  int length = snprintf(line, sizeof line, "{%s}\n", end);
  if (send(control, line, length, MSG_NOSIGNAL) < 0)
    return; /* then it has hung up, which is seen next */
}

static int open_child_events(void) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The end of what the caller types, which a terminal knows only as a character. */
static void type_end(void) {
  if (typed.from >= 0 || typed.to < 0 || !has_room(&typed))
    return;
  typed.data[typed.length++] = 4;
  pass(&typed, false, true);
  if (typed.length == 0)
    typed.to = -1;
}

int watch_process(int count, char **arguments) {
  int pid = atoi(arguments[0]), control = atoi(arguments[1]), master = -1, status = 0;
  int events = open_child_events();
  if (count == 5) {
    master = atoi(arguments[2]);
    typed = (struct channel){.from = atoi(arguments[3]), .to = master};
    shown = (struct channel){.from = master, .to = atoi(arguments[4])};
    fcntl(master, F_SETFL, O_NONBLOCK);
    fcntl(typed.from, F_SETFL, O_NONBLOCK);
    fcntl(shown.to, F_SETFL, O_NONBLOCK);
  }
  bool has_ended = reap(events, pid, &status);
  if (has_ended)
    say_end(control, status);
  while (!has_ended || shown.from >= 0 || (shown.length > 0 && shown.to >= 0)) {
    struct pollfd wait[] = {
        {.fd = control, .events = POLLIN},
        {.fd = events, .events = POLLIN},
        {.fd = has_room(&typed) ? typed.from : -1, .events = POLLIN},
        {.fd = typed.length > 0 ? typed.to : -1, .events = POLLOUT},
        {.fd = has_room(&shown) ? shown.from : -1, .events = POLLIN},
        {.fd = shown.length > 0 ? shown.to : -1, .events = POLLOUT},
    };
    if (poll(wait, sizeof wait / sizeof *wait, -1) < 0)
      continue;
    if (wait[0].revents && !read_control(control, master)) {
      if (!has_ended)
        kill_group(pid);
      return 0;
    }
    if (wait[1].revents && reap(events, pid, &status)) {
      has_ended = true;
      say_end(control, status);
    }
    pass(&typed, wait[2].revents != 0, wait[3].revents != 0);
    pass(&shown, wait[4].revents != 0, wait[5].revents != 0);
    type_end();
  }
  return 0;
}
