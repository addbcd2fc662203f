#define _GNU_SOURCE
#include "inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

int null_stdio(int out, int err) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0)
    return -errno;
  if (dup2(null, 0) < 0 || dup2(out < 0 ? null : out, 1) < 0 || dup2(err < 0 ? null : err, 2) < 0)
    return -errno;
  if (null > 2)
    close(null);
  return 0;
}

void forget_caller(unsigned first) {
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > 1024) {
    files.rlim_cur = files.rlim_max < 1024 ? files.rlim_max : 1024; /* Node raises it to the hard limit */
    setrlimit(RLIMIT_NOFILE, &files);
  }
  close_range(first, ~0U, 0);
}

static void go_on(int signal) {
  (void)signal;
}

void survive_broken_pipes(void) {
  struct sigaction action = {.sa_handler = go_on, .sa_flags = SA_RESTART};
  sigaction(SIGPIPE, &action, NULL);
}
