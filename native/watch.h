/* A container's monitor, and the watcher of one process: what they are given, and how they are started. */
#ifndef WATCH_H
#define WATCH_H

#include "failure.h"

#include <stdbool.h>
#include <stdint.h>

struct watch {
  const char *monitor, *io, *log, *exit_record;
  int64_t log_max_bytes;
  int reader[2]; /* of the container's stdout and stderr; -1 until open_watch, as `lock` */
  int lock;
};

int open_watch(struct watch *watch, bool make, struct failure *failure);
int open_outputs(const struct watch *watch, int output[2], struct failure *failure);
void remove_fifos(const struct watch *watch);
/* Returns only when the program cannot be run. `mode` is its first argument. */
void become_monitor(const struct watch *watch, const char *mode, int pid);

/* Of a process of an exec's, a child of this one (watch-process.h). `terminal` is {MASTER, STDIN, STDOUT}, NULL
   without one. Returns only when the program cannot be run. */
void become_watcher(const char *monitor, int pid, int control, const int terminal[3]);

#endif
