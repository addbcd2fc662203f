/* What libcrun uses of libsystemd, which cannot be linked statically (notify.c). */
#ifndef SD_DAEMON_H
#define SD_DAEMON_H

int sd_notify(int unset_environment, const char *state);

#endif
