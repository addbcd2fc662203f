#define _GNU_SOURCE
#include "seal.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

int open_sealed(const char *program) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  int fd = syscall(SYS_open_tree, AT_FDCWD, program, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0)
    return fd;
  close(fd);
  return -1;
}
