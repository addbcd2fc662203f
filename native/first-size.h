/* The size that a process's terminal has from its first moment on. */
#ifndef FIRST_SIZE_H
#define FIRST_SIZE_H

/* Of the terminals that this process's calls of libcrun make from now on. */
void set_first_size(int rows, int columns);

#endif
