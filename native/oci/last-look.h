/* What this host last answered to who looked (agent/server/last-look.ts), and whether it still would. */
#ifndef LAST_LOOK_H
#define LAST_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One thing that was read, or answered; `length` is negative where there was nothing. */
struct reading {
  const char *kind, *subject, *payload;
  ssize_t length;
};

struct last_look {
  struct reading *readings;
  size_t count;
};

/* Reads the file; false where there is none that can be trusted. */
bool read_last_look(const char *path, struct last_look *look);
/* Reads again all that was read then; false where anything is otherwise, or another agent has read it. */
bool still_holds(const struct last_look *look, const char *agent);
/* What was answered, by its kind. */
const struct reading *find_reading(const struct last_look *look, const char *kind);

#endif
