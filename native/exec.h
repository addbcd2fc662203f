/* The ends of a process in a running container: `fds` of an EXEC, in this order. With a terminal STDERR is not. */
#ifndef EXEC_H
#define EXEC_H

#include "internal.h"

enum { STDIN, STDOUT, CONTROL, STDERR, ENDS };

#endif
