#define _GNU_SOURCE
#include "console.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int open_console(const char *name, struct failure *failure) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int console = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
  if (console >= 0 && bind(console, (struct sockaddr *)&address, sizeof address) == 0 && listen(console, 1) == 0)
    return console;
  fail(failure, errno, "failed", "a socket for the terminal: %s", strerror(errno));
  if (console >= 0)
    close(console);
  return -1;
}

int receive_master(int console) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {0};
  char name[64];
  struct iovec data = {.iov_base = name, .iov_len = sizeof name};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  int master = -1, connection = accept4(console, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0)
    return -1;
  if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) >= 0) {
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
      memcpy(&master, CMSG_DATA(header), sizeof master);
  }
  close(connection);
  return master;
}
