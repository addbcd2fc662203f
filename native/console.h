/* The socket over which an OCI runtime hands out the terminal of a process (its option --console-socket). */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "failure.h"

/* Listens at `name` in the current folder: a socket's path has at most 107 bytes. A descriptor; -1 with the reason. */
int open_console(const char *name, struct failure *failure);

/* The terminal's master, which the runtime has sent by now; -1 where it has not. */
int receive_master(int console);

#endif
