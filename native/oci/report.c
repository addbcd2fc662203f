/* What goes wrong, told as OCI runtimes tell it: a bare line on stderr, and a line in the log that clients read. */
#define _GNU_SOURCE
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <ocispec/json_common.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static int log_fd = -1;
static bool is_json, is_syslog, said;

static const char *level_of(int verbosity) {
  return verbosity == LIBCRUN_VERBOSITY_ERROR ? "error" : verbosity == LIBCRUN_VERBOSITY_WARNING ? "warning" : "debug";
}

/* Others append to the file too: one line is one write. */
static void write_line(const char *text, size_t length) {
  char newline = '\n';
  struct iovec parts[] = {{.iov_base = (char *)text, .iov_len = length}, {.iov_base = &newline, .iov_len = 1}};
  if (writev(log_fd, parts, 2) < 0)
    return; /* a log that is full must not be the end of a container */
}

static void put(yajl_gen json, const char *text) {
  yajl_gen_string(json, (const unsigned char *)text, strlen(text));
}

static void write_entry(const char *message, const char *level) {
  struct timeval now;
  struct tm utc;
  char time[64];
  gettimeofday(&now, NULL);
  gmtime_r(&now.tv_sec, &utc);
  strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(time + strlen(time), 16, ".%06dZ", (int)now.tv_usec);
  if (!is_json) {
    char line[4096];
    int length = snprintf(line, sizeof line, "time=\"%s\" level=%s msg=\"%.3800s\"", time, level, message);
    write_line(line, length < (int)sizeof line ? (size_t)length : sizeof line - 1);
    return;
  }
  const unsigned char *text;
  size_t length;
  yajl_gen json = yajl_gen_alloc(NULL);
  if (json == NULL)
    return;
  yajl_gen_map_open(json);
  put(json, "msg");
  put(json, message);
  put(json, "level");
  put(json, level);
  put(json, "time");
  put(json, time);
  yajl_gen_map_close(json);
  if (yajl_gen_get_buf(json, &text, &length) == yajl_gen_status_ok)
    write_line((const char *)text, length);
  yajl_gen_free(json);
}

/* What libcrun says by itself; errors it has written on stderr before. In JSON the message is a whole line already. */
static void take_output(int errnum, const char *message, int verbosity, void *unused) {
  char text[4096];
  (void)unused;
  said = said || verbosity == LIBCRUN_VERBOSITY_ERROR;
  if (is_json && log_fd >= 0) {
    write_line(message, strlen(message));
    return;
  }
  snprintf(text, sizeof text, "%.3500s%s%s", message, errnum == 0 ? "" : ": ", errnum == 0 ? "" : strerror(errnum));
  if (is_syslog)
    syslog(verbosity == LIBCRUN_VERBOSITY_ERROR ? LOG_ERR : LOG_DEBUG, "%s", text);
  else if (log_fd >= 0)
    write_entry(text, level_of(verbosity));
  else if (verbosity != LIBCRUN_VERBOSITY_ERROR)
    dprintf(2, "%s\n", text);
}

/* Out of the way of the descriptors that a container is to have. */
static int open_log(const char *path) {
  enum { PRESERVED_MOST = 2 * 1024 }; /* descriptors.c */
  struct rlimit files;
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
  bool is_tight = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur <= PRESERVED_MOST + 3;
  int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, is_tight ? (int)files.rlim_cur - 1 : PRESERVED_MOST + 3);
  if (high < 0)
    return fd;
  close(fd);
  return high;
}

static int open_target(const struct call_line *call, const char *log, struct failure *failure) {
  if (strncmp(log, "syslog:", 7) == 0) {
    is_syslog = true;
    openlog(log[7] == '\0' ? (call->id == NULL ? "nexcage" : call->id) : log + 7, 0, LOG_USER);
    return 0;
  }
  if (strncmp(log, "journald:", 9) == 0)
    return fail(failure, EINVAL, "refused", "--log journald: is not built in; say --log syslog: or a file");
  if (strncmp(log, "file:", 5) == 0)
    log += 5;
  log_fd = open_log(log);
  return log_fd < 0 ? fail(failure, errno, "failed", "--log: cannot open %.300s (%s)", log, strerrorname_np(errno)) : 0;
}

int open_report(const struct call_line *call, struct failure *failure) {
  const char *log = value_of(&call->line, "log"), *format = value_of(&call->line, "log-format");
  libcrun_error_t error = NULL;
  if (format != NULL && strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
    return fail(failure, EINVAL, "refused", "--log-format: \"%.40s\" is neither json nor text", format);
  is_json = format != NULL && strcmp(format, "json") == 0 && log != NULL;
  if (libcrun_set_log_format(is_json ? "json" : "text", &error) < 0)
    return fail_crun(failure, &error);
  if (log != NULL && open_target(call, log, failure) < 0)
    return failure->result;
  if (is_given(&call->line, "debug"))
    libcrun_set_verbosity(LIBCRUN_VERBOSITY_DEBUG);
  else if (log != NULL) /* such as a capability that is none; never on stderr, which clients want silent */
    libcrun_set_verbosity(LIBCRUN_VERBOSITY_WARNING);
  crun_set_output_handler(take_output, NULL);
  return 0;
}

bool has_said(void) {
  return said;
}

void report(const struct failure *failure) {
  if (failure->message[0] == '\0')
    return; /* said by libcrun, in the process that was to be */
  if (log_fd >= 0)
    write_entry(failure->message, "error");
  if (is_syslog)
    syslog(LOG_ERR, "%s", failure->message);
  dprintf(2, "%s\n", failure->message);
}

int fail_crun(struct failure *failure, libcrun_error_t *error) {
  int status = *error == NULL ? 0 : (*error)->status;
  if (*error == NULL)
    return fail(failure, EPROTO, "failed", "%s", "");
  fail(failure, status > 0 ? status : EPROTO, "failed", "%s%s%s", (*error)->msg, status > 0 ? ": " : "",
       status > 0 ? strerror(status) : "");
  libcrun_error_release(error);
  return failure->result;
}

struct libcrun_context_s context_of(const struct call_line *call) {
  return (struct libcrun_context_s){
      .state_root = call->root,
      .id = call->id,
      .bundle = "",
      .fifo_exec_wait_fd = -1,
      .output_handler = take_output,
  };
}
