/* Descriptors from 3 on that a process gets: those that are named, and those of a socket-activated caller. */
#include "oci.h"

#include <errno.h>
#include <stdlib.h>

enum { DESCRIPTORS_MAX = 1024 };

static bool parse_count(const char *text, int *count) {
  char *end;
  long value = strtol(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || value > DESCRIPTORS_MAX)
    return false;
  *count = (int)value;
  return true;
}

int set_descriptors(const struct line *line, struct libcrun_context_s *context, struct failure *failure) {
  const char *named = value_of(line, "preserve-fds"), *listening = getenv("LISTEN_FDS");
  if (named != NULL && !parse_count(named, &context->preserve_fds))
    return fail(failure, EINVAL, "refused", "--preserve-fds: \"%.40s\" is not a number of descriptors up to %d", named,
                DESCRIPTORS_MAX);
  if (listening != NULL && !parse_count(listening, &context->listen_fds))
    return fail(failure, EINVAL, "refused", "LISTEN_FDS: \"%.40s\" is not a number of descriptors up to %d", listening,
                DESCRIPTORS_MAX);
  context->preserve_fds += context->listen_fds;
  return 0;
}
