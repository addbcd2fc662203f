/* events: what a container uses, as lines of JSON in the words of runc's events, until it ends; and each time the
   kernel kills for want of memory. Times are ns, sizes are bytes; what the kernel does not tell is left out. */
#define _GNU_SOURCE
#include "duration.h"
#include "oci.h"

#include <errno.h>
#include <inttypes.h>
#include <ocispec/json_common.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A cgroup in the hierarchy of one controller; of all of them in v2. */
struct source {
  const char *cgroup;
  bool is_unified;
};

static void path_of(const struct source *source, const char *controller, const char *file, char *path, size_t size) {
  snprintf(path, size, "/sys/fs/cgroup/%s%s%s/%s", source->is_unified ? "" : controller,
           source->cgroup[0] == '/' ? "" : "/", source->cgroup, file);
}

/* The number in `file`, or behind `key` in it: "max" is the largest. */
static bool read_number(const struct source *source, const char *controller, const char *file, const char *key,
                        uint64_t *number) {
  char path[PATH_MAX], line[256];
  bool found = false;
  path_of(source, controller, file, path, sizeof path);
  FILE *stream = fopen(path, "re");
  while (stream != NULL && !found && fgets(line, sizeof line, stream) != NULL) {
    char *value = line;
    if (key != NULL) {
      size_t length = strlen(key);
      if (strncmp(line, key, length) != 0 || line[length] != ' ')
        continue;
      value = line + length + 1;
    }
    *number = strncmp(value, "max", 3) == 0 ? UINT64_MAX : strtoull(value, NULL, 10);
    found = true;
  }
  if (stream != NULL)
    fclose(stream);
  return found;
}

static void put(yajl_gen json, const char *name) {
  yajl_gen_string(json, (const unsigned char *)name, strlen(name));
}

static void put_number(yajl_gen json, const char *name, uint64_t number) {
  char text[24];
  snprintf(text, sizeof text, "%" PRIu64, number);
  put(json, name);
  yajl_gen_number(json, text, strlen(text));
}

static void copy(yajl_gen json, const char *name, const struct source *source, const char *controller, const char *v1,
                 const char *v1_key, const char *v2, const char *v2_key, uint64_t factor) {
  uint64_t number;
  const char *file = source->is_unified ? v2 : v1;
  if (file != NULL && read_number(source, controller, file, source->is_unified ? v2_key : v1_key, &number))
    put_number(json, name, number == UINT64_MAX ? number : number * (source->is_unified ? factor : 1));
}

static void open_map(yajl_gen json, const char *name) {
  put(json, name);
  yajl_gen_map_open(json);
}

static void put_cpu(yajl_gen json, const struct source *source) {
  open_map(json, "cpu");
  open_map(json, "usage");
  copy(json, "total", source, "cpuacct", "cpuacct.usage", NULL, "cpu.stat", "usage_usec", 1000);
  copy(json, "kernel", source, "cpuacct", "cpuacct.usage_sys", NULL, "cpu.stat", "system_usec", 1000);
  copy(json, "user", source, "cpuacct", "cpuacct.usage_user", NULL, "cpu.stat", "user_usec", 1000);
  yajl_gen_map_close(json);
  open_map(json, "throttling");
  copy(json, "periods", source, "cpu", "cpu.stat", "nr_periods", "cpu.stat", "nr_periods", 1);
  copy(json, "throttledPeriods", source, "cpu", "cpu.stat", "nr_throttled", "cpu.stat", "nr_throttled", 1);
  copy(json, "throttledTime", source, "cpu", "cpu.stat", "throttled_time", "cpu.stat", "throttled_usec", 1000);
  yajl_gen_map_close(json);
  yajl_gen_map_close(json);
}

static void put_memory(yajl_gen json, const struct source *source) {
  open_map(json, "memory");
  copy(json, "cache", source, "memory", "memory.stat", "cache", "memory.stat", "file", 1);
  open_map(json, "usage");
  copy(json, "limit", source, "memory", "memory.limit_in_bytes", NULL, "memory.max", NULL, 1);
  copy(json, "usage", source, "memory", "memory.usage_in_bytes", NULL, "memory.current", NULL, 1);
  copy(json, "max", source, "memory", "memory.max_usage_in_bytes", NULL, "memory.peak", NULL, 1);
  copy(json, "failcnt", source, "memory", "memory.failcnt", NULL, "memory.events", "max", 1);
  yajl_gen_map_close(json);
  open_map(json, "swap");
  copy(json, "limit", source, "memory", "memory.memsw.limit_in_bytes", NULL, "memory.swap.max", NULL, 1);
  copy(json, "usage", source, "memory", "memory.memsw.usage_in_bytes", NULL, "memory.swap.current", NULL, 1);
  yajl_gen_map_close(json);
  yajl_gen_map_close(json);
}

static void put_pids(yajl_gen json, const struct source *source) {
  uint64_t limit;
  open_map(json, "pids");
  copy(json, "current", source, "pids", "pids.current", NULL, "pids.current", NULL, 1);
  if (read_number(source, "pids", "pids.max", NULL, &limit) && limit != UINT64_MAX) /* 0 is none there */
    put_number(json, "limit", limit);
  yajl_gen_map_close(json);
}

/* One line. `source` is NULL for an event without data. False when nobody reads it any more. */
static bool print_event(const char *type, const char *id, const struct source *source) {
  const unsigned char *text;
  size_t length;
  yajl_gen json = yajl_gen_alloc(NULL);
  if (json == NULL)
    return false;
  yajl_gen_map_open(json);
  put(json, "type");
  put(json, type);
  put(json, "id");
  put(json, id);
  if (source != NULL) {
    open_map(json, "data");
    put_cpu(json, source);
    put_memory(json, source);
    put_pids(json, source);
    yajl_gen_map_close(json);
  }
  yajl_gen_map_close(json);
  bool done = yajl_gen_get_buf(json, &text, &length) == yajl_gen_status_ok && printf("%s\n", text) > 0 && fflush(stdout) == 0;
  yajl_gen_free(json);
  return done;
}

static uint64_t oom_kills(const struct source *source) {
  uint64_t count = 0;
  read_number(source, "memory", source->is_unified ? "memory.events" : "memory.oom_control", "oom_kill", &count);
  return count;
}

static int read_interval(const struct line *line, struct timespec *interval, struct failure *failure) {
  const char *text = value_of(line, "interval");
  double seconds = 5;
  if (text != NULL && (!parse_duration(text, &seconds) || !(seconds >= 0.001 && seconds <= 86400)))
    return fail(failure, EINVAL, "refused", "--interval: \"%.40s\" is not a time from 1ms to 24h, as in 5s", text);
  interval->tv_sec = (time_t)seconds;
  interval->tv_nsec = (long)((seconds - (double)interval->tv_sec) * 1e9);
  return 0;
}

static int follow(const struct call_line *call, const struct source *source, const struct timespec *interval,
                  struct failure *failure) {
  enum container_status status;
  uint64_t killed = oom_kills(source);
  while (print_event("stats", call->id, source)) {
    nanosleep(interval, NULL);
    if (look(call->root, call->id, &status, failure) < 0 || status == MISSING || status == STOPPED)
      break;
    if (oom_kills(source) == killed)
      continue;
    killed = oom_kills(source);
    print_event("oom", call->id, NULL);
  }
  return failure->result;
}

int oci_events(const struct call_line *call, struct failure *failure) {
  libcrun_container_status_t found = {0};
  libcrun_error_t error = NULL;
  enum container_status status;
  struct timespec interval;
  if (read_interval(&call->line, &interval, failure) < 0 ||
      look_existing(call->root, call->id, &status, failure) < 0)
    return failure->result;
  if (status == STOPPED)
    return fail(failure, ESRCH, "failed", "container not running: %s", call->id);
  if (libcrun_read_container_status(&found, call->root, call->id, &error) < 0)
    return fail_crun(failure, &error);
  struct source source = {.cgroup = found.cgroup_path == NULL ? "" : found.cgroup_path,
                          .is_unified = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0};
  int result = 0;
  if (is_given(&call->line, "stats"))
    print_event("stats", call->id, &source);
  else
    result = follow(call, &source, &interval, failure);
  libcrun_free_container_status(&found);
  return result;
}
