/* The calls that only look. Those that change something are change.c. */
#define _GNU_SOURCE
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ocispec/json_common.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct libcrun_context_s context_of(const char *root, const char *id) {
  return (struct libcrun_context_s){.state_root = root, .id = id, .bundle = "", .fifo_exec_wait_fd = -1};
}

EXPORT int ncx_version(NCX_ANSWER) {
  (void)error, (void)error_size;
  snprintf(json, json_size, "{\"libcrun\":\"%s\"}", PACKAGE_VERSION);
  return 0;
}

EXPORT int ncx_list(const char *root, NCX_ANSWER) {
  struct failure failure = {0};
  struct dirent *entry;
  char path[4096];
  DIR *folder = opendir(root);
  if (folder == NULL && errno != ENOENT) {
    fail(&failure, errno, "failed", "%.300s: %s", root, strerror(errno));
    return give_failure(&failure, error, error_size);
  }
  yajl_gen list = yajl_gen_alloc(NULL);
  yajl_gen_array_open(list);
  while (folder != NULL && (entry = readdir(folder)) != NULL) {
    snprintf(path, sizeof path, "%s/%s/status", root, entry->d_name);
    if (entry->d_name[0] != '.' && access(path, F_OK) == 0)
      yajl_gen_string(list, (const unsigned char *)entry->d_name, strlen(entry->d_name));
  }
  yajl_gen_array_close(list);
  if (folder != NULL)
    closedir(folder);
  int result = give_json(list, json, json_size, error, error_size);
  yajl_gen_free(list);
  return result;
}

/* Asks libcrun first, as this is the call that is made most, and looks only to say why it failed. */
EXPORT int ncx_state(const char *root, const char *id, NCX_ANSWER) {
  struct failure failure = {0}, found = {0};
  struct libcrun_context_s context = context_of(root, id);
  libcrun_error_t crun_error = NULL;
  enum container_status status;
  char *text = NULL;
  size_t length = 0;
  if (check_id(id, &failure) < 0)
    return give_failure(&failure, error, error_size);
  FILE *out = open_memstream(&text, &length);
  if (out == NULL) {
    fail(&failure, errno, "failed", "open_memstream: %s", strerror(errno));
    return give_failure(&failure, error, error_size);
  }
  lock_libcrun();
  if (libcrun_container_state(&context, id, out, &crun_error) < 0)
    fail_libcrun(&failure, -1, &crun_error, "state");
  unlock_libcrun();
  fclose(out);
  if (failure.result < 0 && look_existing(root, id, &status, &found) < 0)
    failure = found;
  if (failure.result == 0 && length >= json_size)
    fail(&failure, EOVERFLOW, "failed", "the state does not fit into %zu bytes", json_size);
  if (failure.result == 0)
    memcpy(json, text, length + 1);
  free(text);
  return failure.result == 0 ? 0 : give_failure(&failure, error, error_size);
}

EXPORT int ncx_pids(const char *root, const char *id, NCX_ANSWER) {
  struct failure failure = {0};
  struct libcrun_context_s context = context_of(root, id);
  libcrun_error_t crun_error = NULL;
  enum container_status status;
  pid_t *pids = NULL;
  if (look_existing(root, id, &status, &failure) < 0)
    return give_failure(&failure, error, error_size);
  lock_libcrun();
  if (status != STOPPED && libcrun_container_read_pids(&context, id, true, &pids, &crun_error) < 0)
    fail_libcrun(&failure, -1, &crun_error, "pids");
  unlock_libcrun();
  if (failure.result < 0)
    return give_failure(&failure, error, error_size);
  yajl_gen list = yajl_gen_alloc(NULL);
  yajl_gen_array_open(list);
  for (size_t i = 0; pids != NULL && pids[i] != 0; i++)
    yajl_gen_integer(list, pids[i]);
  yajl_gen_array_close(list);
  free(pids);
  int result = give_json(list, json, json_size, error, error_size);
  yajl_gen_free(list);
  return result;
}

EXPORT int ncx_monitor_pid(const char *io, NCX_ANSWER) {
  struct failure failure = {0};
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  char path[4096];
  snprintf(path, sizeof path, "%s/monitor", io);
  int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno != ENOENT) {
    fail(&failure, errno, "failed", "%.300s: %s", path, strerror(errno));
    return give_failure(&failure, error, error_size);
  }
  if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0)
    lock.l_type = F_UNLCK;
  if (fd >= 0)
    close(fd);
  snprintf(json, json_size, "{\"pid\":%d}", lock.l_type == F_UNLCK ? 0 : (int)lock.l_pid);
  return 0;
}
