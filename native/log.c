#define _GNU_SOURCE
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 64 };

static void open_file(struct log *log) {
  struct stat file;
  char last;
  log->fd = open(log->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (log->fd < 0)
    return;
  log->size = fstat(log->fd, &file) == 0 ? file.st_size : 0;
  /* An earlier monitor may have been killed while it wrote. */
  if (log->size > 0 && pread(log->fd, &last, 1, log->size - 1) == 1 && last != '\n' && write(log->fd, "\n", 1) == 1)
    log->size++;
}

static void rotate(struct log *log) {
  char old[4096];
  snprintf(old, sizeof old, "%s.1", log->path);
  if (rename(log->path, old) < 0 && errno != ENOENT)
    return;
  close(log->fd);
  log->size = 0;
  open_file(log);
}

void log_open(struct log *log, const char *path, int64_t max_bytes) {
  log->path = path;
  log->max_bytes = max_bytes < LOG_MAX_BYTES_LEAST ? LOG_MAX_BYTES_LEAST : max_bytes;
  log->dropped = log->waiting = 0;
  log_set_time(log);
  open_file(log);
}

static uint64_t count_lines(const char *text, size_t length) {
  uint64_t count = 0;
  for (const char *at = text; (at = memchr(at, '\n', length - (at - text))) != NULL; at++)
    count++;
  return count;
}

/* Writes whole lines; what does not fit is taken back to the last whole one. The bytes that are there now. */
static size_t write_lines(struct log *log, const char *text, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t count = write(log->fd, text + done, length - done);
    if (count < 0 && errno == EINTR)
      continue;
    if (count <= 0)
      break;
    done += count;
  }
  if (done < length) {
    const char *end = memrchr(text, '\n', done);
    done = end == NULL ? 0 : (size_t)(end - text) + 1;
    if (ftruncate(log->fd, log->size + (int64_t)done) < 0)
      return 0;
  }
  log->size += done;
  return done;
}

void log_set_time(struct log *log) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  if (now.tv_sec != log->second) {
    log->second = now.tv_sec;
    gmtime_r(&now.tv_sec, &utc);
    strftime(log->time, sizeof log->time, "%Y-%m-%dT%H:%M:%S", &utc);
  }
  snprintf(log->time + strlen("2026-01-01T00:00:00"), 16, ".%09ldZ", now.tv_nsec);
}

static size_t put_head(const struct log *log, char *head, const char *stream, bool is_whole) {
  size_t time_length = strlen(log->time), stream_length = strlen(stream);
  memcpy(head, log->time, time_length);
  head[time_length] = ' ';
  memcpy(head + time_length + 1, stream, stream_length);
  memcpy(head + time_length + 1 + stream_length, is_whole ? " F " : " P ", 3);
  return time_length + stream_length + 4;
}

static bool write_notice(struct log *log) {
  char line[256];
  size_t head = put_head(log, line, "stderr", true);
  int length = snprintf(line + head, sizeof line - head, "nexcage: %llu lines were dropped here: no space left\n",
                        (unsigned long long)log->dropped);
  if (write_lines(log, line, head + (size_t)length) == 0)
    return false;
  log->dropped = 0;
  return true;
}

void log_flush(struct log *log) {
  size_t written = 0;
  if (log->fd < 0)
    open_file(log);
  if (log->fd >= 0 && (log->dropped == 0 || write_notice(log)) && log->waiting > 0)
    written = write_lines(log, log->batch, log->waiting);
  log->dropped += count_lines(log->batch + written, log->waiting - written);
  log->waiting = 0;
}

void log_line(struct log *log, const char *stream, bool is_whole, const char *text, size_t length) {
  size_t most = HEAD_MAX + length + 1;
  bool is_over = log->size + (int64_t)(log->waiting + most + 256) > log->max_bytes; /* 256: for a notice */
  if (is_over || log->waiting + most > sizeof log->batch)
    log_flush(log);
  if (is_over && log->size > 0)
    rotate(log);
  log->waiting += put_head(log, log->batch + log->waiting, stream, is_whole);
  memcpy(log->batch + log->waiting, text, length);
  log->waiting += length;
  log->batch[log->waiting++] = '\n';
}
