/* How failures and results become text in the caller's buffers, and what libcrun says becomes a failure. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <ocispec/json_common.h>
#include <string.h>

/* `error` may be NULL after a negative result: libcrun 1.21 says nothing for a failed hook, and the text is
   on the child's stderr. */
int fail_libcrun(struct failure *failure, int result, libcrun_error_t *error, const char *what) {
  int status = *error == NULL ? 0 : (*error)->status;
  const char *text = *error == NULL ? NULL : (*error)->msg;
  bool is_full = status == ENOSPC || status == EDQUOT;
  (void)result;
  failure->status = status;
  fail(failure, is_full ? status : EPROTO, is_full ? "space" : "failed", "%s: %s%s%s", what,
       text == NULL ? "libcrun gave no reason" : text, status > 0 ? ": " : "", status > 0 ? strerror(status) : "");
  libcrun_error_release(error);
  return failure->result;
}

static void put(yajl_gen json, const char *text) {
  yajl_gen_string(json, (const unsigned char *)text, strlen(text));
}

static int copy_json(yajl_gen json, char *out, size_t out_size) {
  const unsigned char *text = NULL;
  size_t length = 0;
  if (yajl_gen_get_buf(json, &text, &length) != yajl_gen_status_ok)
    return -ENOMEM;
  if (length >= out_size)
    return -EOVERFLOW;
  memcpy(out, text, length + 1);
  return 0;
}

int give_failure(const struct failure *failure, char *error, size_t error_size) {
  yajl_gen json = yajl_gen_alloc(NULL);
  if (error_size > 0)
    error[0] = '\0';
  if (json == NULL)
    return failure->result;
  yajl_gen_map_open(json);
  put(json, "kind");
  put(json, failure->kind);
  put(json, "message");
  put(json, failure->message);
  if (failure->status != 0) {
    put(json, "status");
    yajl_gen_integer(json, failure->status);
  }
  if (failure->exit_code != 0) {
    put(json, "exitCode");
    yajl_gen_integer(json, failure->exit_code);
  }
  if (failure->stderr_tail[0] != '\0') {
    put(json, "stderr");
    put(json, failure->stderr_tail);
  }
  yajl_gen_map_close(json);
  if (copy_json(json, error, error_size) < 0 && error_size > 0)
    error[0] = '\0';
  yajl_gen_free(json);
  return failure->result;
}

/* The generator stays the caller's. */
int give_json(void *yajl, char *json, size_t json_size, char *error, size_t error_size) {
  struct failure failure = {0};
  int result = copy_json(yajl, json, json_size);
  if (result == 0)
    return 0;
  fail(&failure, -result, "failed", "the answer does not fit into %zu bytes", json_size);
  return give_failure(&failure, error, error_size);
}

/* libcrun 1.21 says why a program cannot be run on the process's own stderr, and nowhere else. */
void explain_exec(int from, struct failure *failure) {
  char said[sizeof failure->stderr_tail] = "";
  if (from < 0)
    return;
  fcntl(from, F_SETFL, O_NONBLOCK);
  read_tail(from, said, sizeof said);
  said[strcspn(said, "\r\n")] = '\0';
  char *text = said, *colour = strstr(said, "?[0m");
  if (strncmp(said, "?[", 2) == 0 && strstr(said, "Z: ") != NULL) { /* on a terminal: colour, time, text, colour */
    text = strstr(said, "Z: ") + 3;
    if (colour != NULL)
      *colour = '\0';
  }
  failure->exit_code = strstr(said, "No such file") != NULL || strstr(said, "not found") != NULL ? 127 : 126;
  if (text[0] != '\0')
    snprintf(failure->message, sizeof failure->message, "exec: %.2000s", text);
}
