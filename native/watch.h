/* A container's monitor, while it is being made. */
#ifndef WATCH_H
#define WATCH_H

#include "forker.h"

struct watch {
  const struct call *call; /* its monitor, io, log, log_max_bytes and exit_record */
  int reader[2]; /* of the container's stdout and stderr */
  int lock;
};

int open_watch(struct watch *watch, bool make, struct failure *failure);
int open_outputs(const struct watch *watch, int output[2], struct failure *failure);
void remove_fifos(const struct watch *watch);
/* Returns only when the program cannot be run. `mode` is its first argument. */
void become_monitor(const struct watch *watch, const char *mode, int pid);

#endif
