/* Seals a program (seal.h) and runs it. Where it cannot be sealed it runs unsealed, and libcrun is not loaded.

     nexcage-launch PROGRAM ARGUMENT…    for development

   With AGENT defined it is nexcage-agent itself: it runs `node` and `nexcage-agent.cjs` of its own library
   folder, which is lib/nexcage beside it, else ../lib/nexcage. There Node's own variables are taken out of the
   environment, so that NODE_OPTIONS of who calls does not reach a program of root's. */
#define _GNU_SOURCE
#include "seal.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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

static void forget_node_variables(void) {
  for (char **variable = environ; *variable != NULL;) {
    char name[128];
    size_t length = strcspn(*variable, "=");
    bool is_nodes = strncmp(*variable, "NODE_", 5) == 0 || strncmp(*variable, "OPENSSL_", 8) == 0;
    if (is_nodes && length < sizeof name) {
      memcpy(name, *variable, length);
      name[length] = '\0';
      unsetenv(name); /* moves the next one here */
    } else {
      variable++;
    }
  }
}

int main(int count, char **arguments) {
  static const char *const folders[] = {"lib/nexcage", "../lib/nexcage"};
  char here[PATH_MAX], node[PATH_MAX + 64], script[PATH_MAX + 64];
  /* Less of V8's own at the start: no collections before 8 MB are used, and one thread of its beside ours. */
  static char heap[] = "--min-semi-space-size=8", threads[] = "--v8-pool-size=1";
  char *agent[count + 4];
  ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
  if (length < 0) {
    fprintf(stderr, "nexcage-agent: /proc/self/exe: %s\n", strerror(errno));
    return 127;
  }
  here[length] = '\0';
  *strrchr(here, '/') = '\0';
  forget_node_variables();
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    snprintf(node, sizeof node, "%s/%s/node", here, folders[i]);
    snprintf(script, sizeof script, "%s/%s/nexcage-agent.cjs", here, folders[i]);
    if (access(script, R_OK) == 0)
      break;
  }
  agent[0] = arguments[0];
  agent[1] = heap;
  agent[2] = threads;
  agent[3] = script;
  memcpy(agent + 4, arguments + 1, count * sizeof *arguments); /* the NULL at the end too */
  return run_sealed(node, agent);
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
