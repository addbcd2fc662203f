/* A program on a read-only mount that nobody else sees, so that a container cannot overwrite it through
   /proc/PID/exe (CVE-2019-5736), which libcrun insists on. */
#ifndef SEAL_H
#define SEAL_H

/* A descriptor to execute, closed on exec; -1 without root, or before Linux 5.12. */
int open_sealed(const char *program);

#endif
