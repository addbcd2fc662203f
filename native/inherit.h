/* What a container's init would inherit from who makes it. */
#ifndef INHERIT_H
#define INHERIT_H

/* stdin is /dev/null, and so is what is -1. 0, or a negative errno. */
int null_stdio(int out, int err);

/* Takes off what is left of the agent: descriptors from `first` on, and the limit of open files that Node raises. */
void forget_caller(unsigned first);

/* A hook may end before it has read the state that libcrun writes to it, and libcrun 1.21 dies of the SIGPIPE. Handled,
   and not ignored, so that what is executed has it as it always is. */
void survive_broken_pipes(void);

#endif
