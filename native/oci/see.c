/* state, ps and spec: what is there, on stdout. */
#define _GNU_SOURCE
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int print_state(const struct call_line *call, const char *id, struct failure *failure) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  enum container_status status;
  struct failure found = {0};
  context.id = id;
  if (check_id(id, failure) < 0)
    return failure->result;
  if (libcrun_container_state(&context, id, stdout, &error) >= 0)
    return 0;
  if (look_existing(call->root, id, &status, &found) < 0)
    *failure = found;
  else
    fail_crun(failure, &error);
  libcrun_error_release(&error);
  return failure->result;
}

int oci_state(const struct call_line *call, struct failure *failure) {
  return for_each(call, print_state, failure);
}

/* As the kernel has it, each byte that is not printable as "?". */
static void print_command(int pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text);
  if (fd >= 0)
    close(fd);
  while (length > 0 && text[length - 1] == '\0')
    length--;
  for (ssize_t i = 0; i < length; i++)
    putchar(text[i] == '\0' ? ' ' : text[i] >= ' ' && text[i] < 127 ? text[i] : '?');
}

static void print_process(int pid) {
  char path[64], text[512] = "";
  int parent = 0;
  struct stat process;
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "re");
  if (file == NULL)
    return; /* it has ended just now */
  char *end = fgets(text, sizeof text, file) == NULL ? NULL : strrchr(text, ')');
  if (end != NULL && sscanf(end + 1, " %*c %d", &parent) == 1 && fstat(fileno(file), &process) == 0) {
    printf("%-7d %-7d %-5u ", pid, parent, (unsigned)process.st_uid);
    print_command(pid);
    putchar('\n');
  }
  fclose(file);
}

int oci_ps(const struct call_line *call, struct failure *failure) {
  struct libcrun_context_s context = context_of(call);
  libcrun_error_t error = NULL;
  enum container_status status;
  pid_t *pids = NULL;
  const char *format = value_of(&call->line, "format");
  bool is_json = format != NULL && strcmp(format, "json") == 0;
  if (format != NULL && !is_json && strcmp(format, "table") != 0)
    return fail(failure, EINVAL, "refused", "--format: \"%.40s\" is neither table nor json", format);
  if (look_existing(call->root, call->id, &status, failure) < 0)
    return failure->result;
  if (status != STOPPED && libcrun_container_read_pids(&context, call->id, true, &pids, &error) < 0)
    return fail_crun(failure, &error);
  if (is_json) {
    putchar('[');
    for (size_t i = 0; pids != NULL && pids[i] != 0; i++)
      printf("%s\n  %d", i == 0 ? "" : ",", pids[i]);
    puts(pids == NULL || pids[0] == 0 ? "]" : "\n]");
  } else {
    puts("PID     PPID    UID   COMMAND");
    for (size_t i = 0; pids != NULL && pids[i] != 0; i++)
      print_process(pids[i]);
  }
  free(pids);
  return 0;
}

int oci_spec(const struct call_line *call, struct failure *failure) {
  const char *bundle = value_of(&call->line, "bundle"), *file = value_of(&call->line, "file");
  libcrun_error_t error = NULL;
  if (file == NULL)
    file = "config.json";
  if (bundle != NULL && chdir(bundle) < 0)
    return fail(failure, errno, "failed", "--bundle %.300s: %s", bundle, strerror(errno));
  int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 && errno == EEXIST)
    return fail(failure, errno, "exists", "`%.300s` already exists", file);
  FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
  if (out == NULL)
    return fail(failure, errno, "failed", "%.300s: %s", file, strerror(errno));
  int result = libcrun_container_spec(geteuid() == 0 && !is_given(&call->line, "rootless"), out, &error);
  if (result < 0)
    result = fail_crun(failure, &error);
  if (fclose(out) != 0 && result >= 0)
    result = fail(failure, errno, "failed", "%.300s: %s", file, strerror(errno));
  if (result < 0)
    unlink(file);
  return result < 0 ? result : 0;
}
