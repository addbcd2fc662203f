/* A container that says it is ready to who waits for its caller, such as systemd: libcrun hears it on a socket of the
   container's own, and what it then calls of libsystemd is here. systemd is told whose pid it is, too. sd_notify(3). */
#define _GNU_SOURCE
#include "oci.h"
#include "sd/systemd/sd-daemon.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const struct call_line *of;

void notify_of(const struct call_line *call) {
  of = call;
}

static int init_pid(void) {
  libcrun_container_status_t status = {0};
  libcrun_error_t error = NULL;
  if (of == NULL || libcrun_read_container_status(&status, of->root, of->id, &error) < 0) {
    libcrun_error_release(&error);
    return 0;
  }
  int pid = status.pid;
  libcrun_free_container_status(&status);
  return pid;
}

int sd_notify(int unset_environment, const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char message[256];
  int pid = init_pid();
  (void)unset_environment;
  if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
    return 0;
  memcpy(address.sun_path, path, strlen(path));
  if (path[0] == '@')
    address.sun_path[0] = '\0';
  int length = pid > 0 ? snprintf(message, sizeof message, "MAINPID=%d\n%s", pid, state)
                       : snprintf(message, sizeof message, "%s", state);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(path);
  ssize_t sent = fd < 0 ? -1 : sendto(fd, message, length, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
  int result = sent < 0 ? -errno : 1;
  if (fd >= 0)
    close(fd);
  return result;
}
