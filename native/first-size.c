/* libcrun sizes an exec's terminal from outside, while the process may have asked for it already, and that of a `run`
   not at all. The linker puts this before libcrun's own, which runs in the process that is to be (native/build). */
#define _GNU_SOURCE
#include "first-size.h"
#include "internal.h"

#include <sys/ioctl.h>

static struct winsize first_size;

void set_first_size(int rows, int columns) {
  first_size = (struct winsize){.ws_row = rows, .ws_col = columns};
}

int __real_libcrun_set_stdio(char *pty, libcrun_error_t *error);
int __wrap_libcrun_set_stdio(char *pty, libcrun_error_t *error);
int __wrap_libcrun_set_stdio(char *pty, libcrun_error_t *error) {
  int result = __real_libcrun_set_stdio(pty, error);
  if (result >= 0 && first_size.ws_row > 0)
    ioctl(0, TIOCSWINSZ, &first_size);
  return result;
}
