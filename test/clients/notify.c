/* notify MESSAGE: sends it to the socket that NOTIFY_SOCKET names. Linked statically, for an image with busybox alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (argc != 2 || path == NULL || strlen(path) >= sizeof(address.sun_path) || fd < 0)
    return 2;
  strcpy(address.sun_path, path);
  if (sendto(fd, argv[1], strlen(argv[1]), 0, (struct sockaddr *)&address, sizeof(address)) < 0) {
    perror(path);
    return 1;
  }
  return 0;
}
