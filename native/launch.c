/* Seals a program (seal.h) and runs it. Where it cannot be sealed it runs unsealed, and libcrun is not loaded.

     nexcage-launch PROGRAM ARGUMENT…    for development

   With AGENT defined it is nexcage-agent itself: it runs nexcage-oci of its own library folder, which is lib/nexcage
   beside it, else ../lib/nexcage, and tells it that folder: a sealed program cannot find it. */
#define _GNU_SOURCE
#include "seal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static int run_sealed(const char *program, char **arguments) {
  int fd = open_sealed(program);
  if (fd >= 0)
    fexecve(fd, arguments, environ);
  execve(program, arguments, environ);
  fprintf(stderr, "%s: cannot run %s: %s\n", arguments[0], program, strerror(errno));
  return 127;
}

#ifdef AGENT

int main(int count, char **arguments) {
  char here[PATH_MAX], library[PATH_MAX + 32], program[PATH_MAX + 64];
  char *words[count + 3];
  ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
  if (length < 0) {
    fprintf(stderr, "nexcage-agent: /proc/self/exe: %s\n", strerror(errno));
    return 127;
  }
  here[length] = '\0';
  for (int i = 0; i < 2 && strrchr(here, '/') != NULL; i++) {
    *strrchr(here, '/') = '\0';
    snprintf(library, sizeof library, "%s/lib/nexcage", here);
    snprintf(program, sizeof program, "%s/nexcage-oci", library);
    if (access(program, X_OK) == 0)
      break;
  }
  words[0] = count > 0 ? arguments[0] : "nexcage-agent";
  words[1] = library;
  for (int i = 1; i < count; i++)
    words[i + 1] = arguments[i];
  words[count > 0 ? count + 1 : 2] = NULL;
  return run_sealed(program, words);
}

#else

int main(int count, char **arguments) {
  if (count < 2) {
    fprintf(stderr, "usage: %s PROGRAM ARGUMENT...\n", arguments[0]);
    return 2;
  }
  return run_sealed(arguments[1], arguments + 1);
}

#endif
