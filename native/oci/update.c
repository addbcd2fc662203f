/* update: other limits for a container that runs. What is not given stays. */
#define _GNU_SOURCE
#include "oci.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { BYTES, NUMBER, TEXT };

static const struct limit {
  const char *option, *section, *name; /* as in linux.resources of the specification */
  enum kind kind;
} limits[] = {
    {"blkio-weight", "blockIO", "weight", NUMBER},
    {"cpu-period", "cpu", "period", NUMBER},
    {"cpu-quota", "cpu", "quota", NUMBER},
    {"cpu-share", "cpu", "shares", NUMBER},
    {"cpu-rt-period", "cpu", "realtimePeriod", NUMBER},
    {"cpu-rt-runtime", "cpu", "realtimeRuntime", NUMBER},
    {"cpuset-cpus", "cpu", "cpus", TEXT},
    {"cpuset-mems", "cpu", "mems", TEXT},
    {"kernel-memory", "memory", "kernel", BYTES},
    {"kernel-memory-tcp", "memory", "kernelTCP", BYTES},
    {"memory", "memory", "limit", BYTES},
    {"memory-reservation", "memory", "reservation", BYTES},
    {"memory-swap", "memory", "swap", BYTES},
    {"pids-limit", "pids", "limit", NUMBER},
};

enum { LIMITS = sizeof limits / sizeof *limits, FILE_MAX_BYTES = 1024 * 1024 };

/* "64m", "1g", "1073741824", "-1". */
static bool parse_number(const char *text, enum kind kind, char *number, size_t size) {
  static const char units[] = "bkmgt";
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  const char *unit = *end == '\0' || kind != BYTES ? NULL : strchr(units, tolower((unsigned char)*end));
  if (end == text || errno != 0 || isspace((unsigned char)text[0]) || text[0] == '+')
    return false;
  if (unit != NULL) {
    for (const char *at = units; at < unit; at++)
      if (__builtin_mul_overflow(value, 1024, &value))
        return false;
    end++;
  }
  if (*end != '\0')
    return false;
  snprintf(number, size, "%lld", value);
  return true;
}

static int read_values(const struct line *line, struct libcrun_update_value_s *values, char numbers[LIMITS][32],
                       struct failure *failure) {
  int count = 0;
  for (size_t i = 0; i < LIMITS; i++) {
    const char *value = value_of(line, limits[i].option);
    if (value == NULL)
      continue;
    if (limits[i].kind != TEXT && !parse_number(value, limits[i].kind, numbers[i], sizeof numbers[i]))
      return fail(failure, EINVAL, "refused", "--%s: \"%.40s\" is not a number%s", limits[i].option, value,
                  limits[i].kind == BYTES ? " of bytes, as in 64m" : "");
    values[count++] = (struct libcrun_update_value_s){.section = limits[i].section,
                                                      .name = limits[i].name,
                                                      .numeric = limits[i].kind != TEXT,
                                                      .value = limits[i].kind == TEXT ? value : numbers[i]};
  }
  return count;
}

/* The caller frees `*text`. */
static int read_resources(const char *path, char **text, struct failure *failure) {
  bool is_stdin = strcmp(path, "-") == 0;
  ssize_t count = 0, length = 0;
  int fd = is_stdin ? 0 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return fail(failure, errno, "failed", "--resources: cannot open %.300s (%s)", path, strerrorname_np(errno));
  *text = calloc(1, FILE_MAX_BYTES + 1);
  while (*text != NULL && length < FILE_MAX_BYTES && (count = read(fd, *text + length, FILE_MAX_BYTES - length)) > 0)
    length += count;
  if (!is_stdin)
    close(fd);
  if (*text == NULL || count < 0 || length == FILE_MAX_BYTES)
    return fail(failure, EINVAL, "refused", "--resources: %.300s is not a file below %d bytes", path, FILE_MAX_BYTES);
  return 0;
}

static int update_rdt(const struct call_line *call, struct libcrun_context_s *context, struct failure *failure) {
  struct libcrun_intel_rdt_update schemas = {.l3_cache_schema = value_of(&call->line, "l3-cache-schema"),
                                             .mem_bw_schema = value_of(&call->line, "mem-bw-schema")};
  libcrun_error_t error = NULL;
  if (schemas.l3_cache_schema == NULL && schemas.mem_bw_schema == NULL)
    return 0;
  return libcrun_container_update_intel_rdt(context, call->id, &schemas, &error) < 0 ? fail_crun(failure, &error) : 0;
}

int oci_update(const struct call_line *call, struct failure *failure) {
  struct libcrun_context_s context = context_of(call);
  struct libcrun_update_value_s values[LIMITS];
  static char numbers[LIMITS][32];
  enum container_status status;
  libcrun_error_t error = NULL;
  char *resources = NULL;
  const char *file = value_of(&call->line, "resources");
  int count = read_values(&call->line, values, numbers, failure);
  if (count < 0 || look_existing(call->root, call->id, &status, failure) < 0)
    return failure->result;
  if (status == STOPPED)
    return fail(failure, ESRCH, "failed", "container not running: %s", call->id);
  if (file != NULL && read_resources(file, &resources, failure) == 0 &&
      libcrun_container_update(&context, call->id, resources, strlen(resources), &error) < 0)
    fail_crun(failure, &error);
  if (failure->result == 0 && count > 0 &&
      libcrun_container_update_from_values(&context, call->id, values, count, &error) < 0)
    fail_crun(failure, &error);
  free(resources);
  return failure->result < 0 ? failure->result : update_rdt(call, &context, failure);
}
