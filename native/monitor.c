/* nexcage-monitor: the parent of a container's init. Writes its output to a log, and how it ended to a record.

     nexcage-monitor run    PID STDOUT STDERR LOCK IO LOG MAX_BYTES RECORD
     nexcage-monitor attach PID STDOUT STDERR LOCK IO LOG MAX_BYTES RECORD
     nexcage-monitor exec   PID CONTROL [MASTER STDIN STDOUT]

   Only nexcage-forker (ncx.h) and nexcage-shim start it. PID is the init, a child of this process; with `attach` it is not, the monitor
   that was its parent has been killed. STDOUT, STDERR and LOCK are descriptors: the reading ends of the two
   pipes in the folder IO, and its lock, held as long as this process lives. `exec`: see watch-process.h.

   The record is {"exitCode":N} or {"signal":N}, or {"lost":true} after `attach`, each with "oomKilled",
   "finishedAt" (ISO 8601), and the init's "pid" and "startTime" (/proc/PID/stat, field 22). It appears whole,
   fsynced, after the last line of output is in the log; the file was made at the start, so that it has room on
   a full disk. The container never waits for this program, unless it is killed and a pipe is full. */
#define _GNU_SOURCE
#include "log.h"
#include "watch-process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { IDLE_MS = 100, RETRY_MS = 1000, DRAIN_MAX = 8 * 1024 * 1024, RECORD_BYTES = 512 };

struct stream {
  const char *name;
  int fd; /* -1 after its end */
  bool is_open_line; /* its last line in the log is a part */
  size_t length;
  char data[64 * 1024];
};

struct init {
  int pid;
  unsigned long long start_time;
  bool is_child, has_ended;
  int wait_status;
  int oom_fd; /* memory.oom_control or memory.events, -1 without */
  long oom_kills; /* before it ran */
};

static struct log output_log;
static struct stream streams[2] = {{.name = "stdout"}, {.name = "stderr"}};
static struct init init;

static void put_lines(struct stream *stream) {
  char *from = stream->data, *end = stream->data + stream->length, *newline;
  while ((newline = memchr(from, '\n', end - from)) != NULL || end - from > LOG_LINE_MAX) {
    bool is_whole = newline != NULL && newline - from <= LOG_LINE_MAX;
    size_t length = is_whole ? (size_t)(newline - from) : LOG_LINE_MAX;
    log_line(&output_log, stream->name, is_whole, from, length);
    stream->is_open_line = !is_whole;
    from += length + (is_whole ? 1 : 0);
  }
  stream->length = end - from;
  memmove(stream->data, from, stream->length);
}

/* A prompt has no newline: what waits longer is written as a part of a line. */
static void put_parts(void) {
  log_set_time(&output_log);
  for (int i = 0; i < 2; i++) {
    if (streams[i].length == 0)
      continue;
    log_line(&output_log, streams[i].name, false, streams[i].data, streams[i].length);
    streams[i].is_open_line = true;
    streams[i].length = 0;
  }
}

static void end_stream(struct stream *stream) {
  if (stream->length > 0 || stream->is_open_line)
    log_line(&output_log, stream->name, true, stream->data, stream->length);
  stream->length = 0;
  stream->is_open_line = false;
  close(stream->fd);
  stream->fd = -1;
}

/* The bytes that came; 0 for none now, or the end. */
static size_t read_stream(struct stream *stream) {
  ssize_t count;
  if (stream->fd < 0)
    return 0;
  do
    count = read(stream->fd, stream->data + stream->length, sizeof stream->data - stream->length);
  while (count < 0 && errno == EINTR);
  log_set_time(&output_log);
  if (count > 0) {
    stream->length += count;
    put_lines(stream);
    return count;
  }
  if (count == 0 || errno != EAGAIN)
    end_stream(stream);
  return 0;
}

/* What was written before the init ended; bounded, as other processes of a shared pid namespace may go on. */
static void drain(void) {
  size_t total = 0, count;
  do {
    count = read_stream(&streams[0]) + read_stream(&streams[1]);
    total += count;
  } while (count > 0 && total < DRAIN_MAX);
  log_flush(&output_log);
}

static unsigned long long start_time_of(int pid) {
  char path[32], text[1024] = "", *at;
  unsigned long long value = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0)
    close(fd);
  if (count <= 0 || (at = strrchr(text, ')')) == NULL) /* the name may hold anything */
    return 0;
  for (int field = 2; field < 22 && at != NULL; field++)
    at = strchr(at + 1, ' ');
  if (at != NULL)
    value = strtoull(at + 1, NULL, 10);
  return value;
}

static long read_oom_kills(int fd) {
  char text[1024] = "", *at;
  if (fd < 0 || pread(fd, text, sizeof text - 1, 0) <= 0)
    return 0;
  at = strstr(text, "oom_kill ");
  return at == NULL ? 0 : atol(at + strlen("oom_kill "));
}

/* Opened at the start: when the init has ended, its cgroup may be gone before its path is looked up. */
static int open_oom_events(int pid) {
  char path[4096], line[3072], *cgroup;
  int fd = -1;
  snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
  FILE *cgroups = fopen(path, "re");
  if (cgroups == NULL)
    return -1;
  while (fd < 0 && fgets(line, sizeof line, cgroups) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if ((cgroup = strstr(line, ":memory:")) != NULL)
      snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.oom_control", cgroup + strlen(":memory:"));
    else if (strncmp(line, "0::", 3) == 0)
      snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.events", line + 3);
    else
      continue;
    fd = open(path, O_RDONLY | O_CLOEXEC);
  }
  fclose(cgroups);
  return fd;
}

static int make_record(const char *path) {
  char text[RECORD_BYTES];
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  memset(text, ' ', sizeof text);
  if (fd >= 0 && write(fd, text, sizeof text) != (ssize_t)sizeof text && ftruncate(fd, 0) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static void sync_folder_of(const char *path) {
  char folder[4096];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (slash == NULL)
    return;
  slash[slash == folder ? 1 : 0] = '\0';
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return;
  fsync(fd);
  close(fd);
}

static void write_record(int fd, const char *temporary, const char *path) {
  char end[32] = "\"lost\":true", time_text[32], text[RECORD_BYTES];
  struct timespec now;
  struct tm utc;
  if (fd < 0)
    fd = make_record(temporary);
  if (fd < 0)
    return;
  if (init.is_child)
    format_end(end, sizeof end, init.wait_status);
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%S", &utc);
  int length = snprintf(text, sizeof text,
                        "{%s,\"oomKilled\":%s,\"finishedAt\":\"%s.%03ldZ\",\"pid\":%d,\"startTime\":%llu}\n", end,
                        read_oom_kills(init.oom_fd) > init.oom_kills ? "true" : "false", time_text,
                        now.tv_nsec / 1000000, init.pid, init.start_time);
  bool is_written = pwrite(fd, text, length, 0) == length && ftruncate(fd, length) == 0 && fsync(fd) == 0;
  close(fd);
  if (is_written && rename(temporary, path) == 0)
    sync_folder_of(path);
}

static void reap(void) {
  pid_t pid;
  int status;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid != init.pid)
      continue;
    init.has_ended = true;
    init.wait_status = status;
  }
}

/* A descriptor that is readable when a child, or with `attach` the init, has ended. */
static int open_end_event(void) {
  sigset_t child;
  if (!init.is_child)
    return syscall(SYS_pidfd_open, init.pid, 0);
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void see_end_event(int fd) {
  struct signalfd_siginfo info;
  if (!init.is_child) {
    init.has_ended = true;
    return;
  }
  while (read(fd, &info, sizeof info) > 0)
    ;
  reap();
}

static int timeout_ms(void) {
  if (streams[0].length + streams[1].length > 0)
    return IDLE_MS;
  return output_log.dropped > 0 ? RETRY_MS : -1;
}

static void watch(int end_event, int record, const char *temporary, const char *record_path) {
  bool is_recorded = false;
  while (!is_recorded || streams[0].fd >= 0 || streams[1].fd >= 0) {
    /* Before its start the init may not have opened a pipe yet: an end counts only after the init's own. */
    struct pollfd wait[] = {{.fd = streams[0].fd, .events = POLLIN},
                            {.fd = streams[1].fd, .events = POLLIN},
                            {.fd = is_recorded ? -1 : end_event, .events = POLLIN}};
    int ready = poll(wait, 3, timeout_ms());
    if (ready == 0)
      put_parts();
    for (int i = 0; ready > 0 && i < 2; i++)
      if (wait[i].revents)
        read_stream(&streams[i]);
    log_flush(&output_log);
    if (ready > 0 && wait[2].revents)
      see_end_event(end_event);
    if (!init.has_ended || is_recorded)
      continue;
    drain();
    write_record(record, temporary, record_path);
    is_recorded = true;
  }
  log_flush(&output_log);
}

/* SIGTERM goes to everything when a host shuts down: what ends then must still be recorded. */
static void ignore_signals(void) {
  const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ, SIGUSR1, SIGUSR2};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
    signal(ignored[i], SIG_IGN);
}

static int run(char **arguments, bool is_child) {
  const char *io = arguments[4], *record_path = arguments[7];
  char temporary[4096], path[4096];
  init = (struct init){.pid = atoi(arguments[0]), .is_child = is_child};
  streams[0].fd = atoi(arguments[1]);
  streams[1].fd = atoi(arguments[2]);
  fcntl(atoi(arguments[3]), F_SETFD, FD_CLOEXEC); /* the lock is only held */
  int end_event = open_end_event();
  init.start_time = start_time_of(init.pid);
  init.oom_fd = open_oom_events(init.pid);
  init.oom_kills = is_child ? read_oom_kills(init.oom_fd) : 0;
  if (end_event < 0)
    init.has_ended = true; /* attach: it ended before we came */
  else if (is_child)
    reap();
  snprintf(temporary, sizeof temporary, "%s.new", record_path);
  log_open(&output_log, arguments[5], atoll(arguments[6]));
  watch(end_event, make_record(temporary), temporary, record_path);
  for (int i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s/%s", io, streams[i].name);
    unlink(path);
  }
  return 0;
}

int main(int count, char **arguments) {
  if (chdir("/") < 0)
    return 1;
  umask(0077);
  ignore_signals();
  if ((count == 4 || count == 7) && strcmp(arguments[1], "exec") == 0)
    return watch_process(count - 2, arguments + 2);
  if (count == 10 && strcmp(arguments[1], "run") == 0)
    return run(arguments + 2, true);
  if (count == 10 && strcmp(arguments[1], "attach") == 0)
    return run(arguments + 2, false);
  fputs("nexcage-monitor is started by nexcage-agent only\n", stderr);
  return 2;
}
