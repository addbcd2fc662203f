/* USER[:GROUP] of an exec, by numbers or by the names that the container's own files give them. */
#define _GNU_SOURCE
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINES_MAX = 100 * 1000 };

/* No link in the container's files leads out of them. */
static FILE *open_inside(int pid, const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_IN_ROOT};
  char root[64];
  struct stat file;
  snprintf(root, sizeof root, "/proc/%d/root", pid);
  int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
  int fd = folder < 0 ? -1 : (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
  if (folder >= 0)
    close(folder);
  if (fd >= 0 && (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode))) {
    close(fd);
    fd = -1;
  }
  return fd < 0 ? NULL : fdopen(fd, "r");
}

/* -1 means "unchanged" to the kernel. */
static bool is_number(const char *text, unsigned *number) {
  char *end;
  unsigned long value = strtoul(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || value >= UINT32_MAX)
    return false;
  *number = value;
  return true;
}

/* A line of /etc/passwd or /etc/group: its third field, and its fourth where it has one. */
static bool find_name(int pid, const char *path, const char *name, unsigned *id, unsigned *group) {
  char line[4096];
  bool found = false;
  FILE *file = open_inside(pid, path);
  for (int lines = 0; file != NULL && !found && lines < LINES_MAX && fgets(line, sizeof line, file) != NULL; lines++) {
    char *rest = line, *first = strsep(&rest, ":");
    strsep(&rest, ":");
    char *number = strsep(&rest, ":"), *next = strsep(&rest, ":\n");
    found = strcmp(first, name) == 0 && number != NULL && is_number(number, id);
    if (found && group != NULL && next != NULL)
      is_number(next, group);
  }
  if (file != NULL)
    fclose(file);
  return found;
}

int find_user(const char *words, int container_pid, runtime_spec_schema_config_schema_process_user **user,
              struct failure *failure) {
  char name[256];
  unsigned uid = 0, gid = 0;
  const char *colon = strchr(words, ':');
  snprintf(name, sizeof name, "%.*s", (int)strcspn(words, ":"), words);
  if (!is_number(name, &uid) && !find_name(container_pid, "etc/passwd", name, &uid, &gid))
    return fail(failure, EINVAL, "refused", "--user: the container has no user \"%.40s\"", name);
  if (colon != NULL && !is_number(colon + 1, &gid) && !find_name(container_pid, "etc/group", colon + 1, &gid, NULL))
    return fail(failure, EINVAL, "refused", "--user: the container has no group \"%.40s\"", colon + 1);
  *user = calloc(1, sizeof **user);
  if (*user == NULL)
    return fail(failure, ENOMEM, "failed", "out of memory");
  (*user)->uid = uid;
  (*user)->gid = gid;
  return 0;
}
