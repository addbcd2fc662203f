/* nexcage-oci LIBRARY ARGUMENT…: the command line of nexcage-agent, which its launcher hands over with the folder of
   its own library. What an OCI runtime is asked about containers of libcrun's is answered here, without Node: a
   container of this door is as crun's, its state is libcrun's own, nobody journals it. All else goes on to the rest of
   the agent, which is TypeScript (door.c tells which). */
#define _GNU_SOURCE
#include "../inherit.h"
#include "oci.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *word;
  int (*run)(const struct call_line *call, struct failure *failure);
  int failed; /* the exit status of a failure */
} works[] = {
    {"create", oci_create, 1}, {"run", oci_run, 1},       {"start", oci_start, 1},   {"state", oci_state, 1},
    {"kill", oci_kill, 1},     {"delete", oci_delete, 1}, {"exec", oci_exec, 255},   {"ps", oci_ps, 1},
    {"pause", oci_pause, 1},   {"resume", oci_resume, 1}, {"update", oci_update, 1}, {"spec", oci_spec, 1},
    {"events", oci_events, 1},
};

enum { USAGE = 2 };

static void print_version(void) {
  printf("nexcage-agent %s\nspec: 1.2.1\nlibcrun: %s\n+APPARMOR +CAP +SECCOMP +EBPF +YAJL\n", NEXCAGE_VERSION,
         PACKAGE_VERSION);
}

static int run(const struct call_line *call, struct failure *failure) {
  for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
    if (strcmp(works[i].word, call->line.word) != 0)
      continue;
    int result = open_report(call, failure);
    if (result == 0)
      result = works[i].run(call, failure);
    if (result >= 0)
      return result;
    if (strcmp(failure->kind, "missing") == 0 && call->id != NULL) /* the words that containerd knows */
      fail(failure, ENOENT, "missing", "container does not exist: %s", call->id);
    /* What goes for a container that is not there goes before the exec itself. */
    return strcmp(failure->kind, "missing") == 0 || strcmp(failure->kind, "stopped") == 0 ? 1 : works[i].failed;
  }
  return fail(failure, EINVAL, "refused", "%s is not a command here", call->line.word);
}

int main(int count, char **arguments) {
  static struct call_line call;
  struct failure failure = {0};
  if (count < 2)
    return USAGE;
  survive_broken_pipes();
  const char *name = arguments[0], *library = arguments[1];
  arguments += 2;
  if (!read_line(&call.line, arguments))
    return 1;
  if (call.line.word == NULL && call.line.unknown == NULL && is_given(&call.line, "version")) {
    print_version();
    return fflush(stdout) == 0 ? 0 : 1;
  }
  if (find_folders(&call, &failure) < 0) {
    report(&failure);
    return USAGE;
  }
  enum door door = door_of(&call);
  if (door == TYPESCRIPT_ROUTES)
    door = routes_to_crun(name, library, &call, &failure) ? HERE : TYPESCRIPT;
  if (failure.result == 0 && door == TYPESCRIPT)
    become_agent(name, library, &call.line, serve_last_look(&call, library, arguments));
  int status = failure.result < 0 ? 1 : run(&call, &failure);
  if (failure.result < 0)
    report(&failure);
  return status;
}
