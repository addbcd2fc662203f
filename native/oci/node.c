/* The rest of the agent: Node with the program beside this one, sealed as this one is (seal.h). */
#define _GNU_SOURCE
#include "../seal.h"
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* So that NODE_OPTIONS of who calls does not reach a program of root's. */
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

static void __attribute__((noreturn)) become_node(const char *name, const char *library, char **arguments) {
  /* Less of V8's own at the start: no collections before 8 MB are used, and one thread of its beside ours. */
  static char heap[] = "--min-semi-space-size=8", threads[] = "--v8-pool-size=1";
  char node[PATH_MAX], script[PATH_MAX];
  size_t count = 0;
  while (arguments[count] != NULL)
    count++;
  char *words[count + 5];
  snprintf(node, sizeof node, "%s/node", library);
  snprintf(script, sizeof script, "%s/nexcage-agent.cjs", library);
  words[0] = (char *)name;
  words[1] = heap;
  words[2] = threads;
  words[3] = script;
  memcpy(words + 4, arguments, (count + 1) * sizeof *arguments);
  forget_node_variables();
  int fd = open_sealed(node);
  if (fd >= 0)
    fexecve(fd, words, environ);
  execve(node, words, environ);
  fprintf(stderr, "%s: cannot run %s: %s\n", name, node, strerror(errno));
  _exit(127);
}

/* An exec's command comes after `--` there, and only there. */
static char **with_dashes(const struct line *line, char **arguments) {
  size_t count = 0, at = 0;
  while (arguments[count] != NULL)
    count++;
  if (line->word == NULL || strcmp(line->word, "exec") != 0 || line->operand_count < 2)
    return arguments;
  at = count - (line->operand_count - 1);
  char **words = calloc(count + 2, sizeof *words);
  if (words == NULL || strcmp(arguments[at - 1], "--") == 0)
    return arguments;
  memcpy(words, arguments, at * sizeof *words);
  words[at] = "--";
  memcpy(words + at + 1, arguments + at, (count - at) * sizeof *words);
  return words;
}

void become_agent(const char *name, const char *library, const struct line *line, char **arguments) {
  become_node(name, library, with_dashes(line, arguments));
}

/* Asks the rest of the agent, which alone reads the host's settings. */
bool routes_to_crun(const char *name, const char *library, const struct call_line *call, struct failure *failure) {
  int ends[2], status = 0;
  char answer[32] = "";
  const char *config = settings_of(&call->line);
  char *words[] = {"--config", (char *)config, "--root", (char *)call->run, "route", "--quiet", "--name", (char *)call->id, NULL};
  if (pipe2(ends, O_CLOEXEC) < 0)
    return fail(failure, errno, "failed", "pipe: %s", strerror(errno)), false;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], 1);
    become_node(name, library, config == NULL ? words + 2 : words);
  }
  close(ends[1]);
  ssize_t length = 0, count;
  while (pid > 0 && length < (ssize_t)sizeof answer - 1 &&
         ((count = read(ends[0], answer + length, sizeof answer - 1 - length)) > 0 || (count < 0 && errno == EINTR)))
    length += count > 0 ? count : 0;
  close(ends[0]);
  if (pid < 0)
    return fail(failure, errno, "failed", "fork: %s", strerror(errno)), false;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  /* What is wrong with the settings the rest of the agent says itself, asked for the container. */
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 && strcmp(answer, "crun\n") == 0;
}
