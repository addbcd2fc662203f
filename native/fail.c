#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fail(struct failure *failure, int errnum, const char *kind, const char *format, ...) {
  va_list arguments;
  failure->result = -(errnum > 0 ? errnum : EPROTO);
  snprintf(failure->kind, sizeof failure->kind, "%s", kind);
  va_start(arguments, format);
  vsnprintf(failure->message, sizeof failure->message, format, arguments);
  va_end(arguments);
  return failure->result;
}

void read_tail(int fd, char *tail, size_t tail_size) {
  char chunk[1024];
  ssize_t count;
  size_t length = strlen(tail);
  while ((count = read(fd, chunk, sizeof chunk)) > 0 || (count < 0 && errno == EINTR)) {
    for (ssize_t i = 0; i < count; i++) {
      if (length == tail_size - 1)
        memmove(tail, tail + 1, --length);
      /* A NUL would end the text, and what is not ASCII may be half a character: the text becomes JSON. */
      tail[length++] = (chunk[i] == '\n' || (chunk[i] >= ' ' && chunk[i] < 127)) ? chunk[i] : '?';
      tail[length] = '\0';
    }
  }
}
