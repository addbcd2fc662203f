/* A log of whole lines in the format of CRI ("TIME stdout F text", P for a part of a line), bounded in size.
   When PATH would grow over `max_bytes` it becomes PATH.1 and a new one begins: no line is lost or torn, and
   who follows reads the old one by its inode to the end. Both together never take more than 2 * max_bytes.
   Nothing here waits for space: lines that do not fit on the disk are dropped, counted, and the count is
   written when there is space again. */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { LOG_LINE_MAX = 16 * 1024, LOG_MAX_BYTES_LEAST = 32 * 1024 };

struct log {
  const char *path; /* the caller's, kept */
  int64_t max_bytes, size;
  int fd;
  uint64_t dropped;
  time_t second; /* of `time` */
  char time[40]; /* of the lines that come */
  size_t waiting; /* bytes of whole lines, not yet written */
  char batch[64 * 1024];
};

void log_open(struct log *log, const char *path, int64_t max_bytes);
/* Lines get the time of the last call of this. */
void log_set_time(struct log *log);
/* `length` is at most LOG_LINE_MAX, without a newline. Is on disk after log_flush. */
void log_line(struct log *log, const char *stream, bool is_whole, const char *text, size_t length);
void log_flush(struct log *log);

#endif
