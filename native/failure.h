/* Why something failed. Knows nothing of libcrun. */
#ifndef FAILURE_H
#define FAILURE_H

#include <stddef.h>

/* As it goes into the caller's error buffer (ncx.h, "Errors"). */
struct failure {
  int result; /* 0, or a negative errno */
  char kind[12];
  int status;    /* libcrun's, 0 when it gave none */
  int exit_code; /* of an exec that could not start, else 0 */
  char message[2048];
  char stderr_tail[2048];
};

int fail(struct failure *failure, int errnum, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Appends what is there to read, without waiting; keeps the last `tail_size` - 1 bytes. */
void read_tail(int fd, char *tail, size_t tail_size);

#endif
