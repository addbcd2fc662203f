/* The caller's terminal, where a process in the foreground is to have one like it. */
#define _GNU_SOURCE
#include "../first-size.h"
#include "oci.h"

#include <stdlib.h>
#include <sys/ioctl.h>

void size_as_caller(const struct libcrun_context_s *context, const runtime_spec_schema_config_schema_process *process) {
  struct winsize size;
  if (process == NULL || !process->terminal || context->detach || context->console_socket != NULL)
    return;
  if (process->console_size != NULL)
    set_first_size(process->console_size->height, process->console_size->width);
  else if (ioctl(0, TIOCGWINSZ, &size) == 0)
    set_first_size(size.ws_row, size.ws_col);
}
