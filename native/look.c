/* What is there, by looking; and what the caller's words mean. Nothing here forks or changes anything. */
#define _GNU_SOURCE
#include "internal.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t libcrun = PTHREAD_MUTEX_INITIALIZER;

/* libcrun is not written for threads: in the library one call at a time. */
void lock_libcrun(void) {
  pthread_mutex_lock(&libcrun);
}

void unlock_libcrun(void) {
  pthread_mutex_unlock(&libcrun);
}

int check_id(const char *id, struct failure *failure) {
  size_t length = strlen(id);
  bool is_good = length >= 1 && length <= 128 && isalnum((unsigned char)id[0]);
  for (size_t i = 0; is_good && i < length; i++)
    is_good = isalnum((unsigned char)id[i]) || strchr("_.+-", id[i]) != NULL;
  if (is_good)
    return 0;
  return fail(failure, EINVAL, "id",
              "not a container id: letters, digits and _.+- only, beginning with a letter or digit, at most 128");
}

/* "SIGTERM", "TERM", "15", "RTMIN+1": the number, or negative. 0 is sent to nobody, and asks whether somebody is there. */
int parse_signal(const char *signal, struct failure *failure) {
  const char *name = strncasecmp(signal, "SIG", 3) == 0 ? signal + 3 : signal;
  char *end;
  long number = strtol(signal, &end, 10);
  if (isdigit((unsigned char)signal[0]) && *end == '\0' && number >= 0 && number <= SIGRTMAX)
    return (int)number;
  for (int i = 1; i < SIGSYS + 1; i++)
    if (sigabbrev_np(i) != NULL && strcasecmp(name, sigabbrev_np(i)) == 0)
      return i;
  if (strncasecmp(name, "RTMIN+", 6) == 0 && isdigit((unsigned char)name[6])) {
    number = strtol(name + 6, &end, 10);
    if (*end == '\0' && SIGRTMIN + number <= SIGRTMAX)
      return SIGRTMIN + (int)number;
  }
  return fail(failure, EINVAL, "refused", "\"%.40s\" is not a signal", signal);
}

static int look_locked(const char *root, const char *id, enum container_status *found, struct failure *failure) {
  libcrun_container_status_t status = {0};
  libcrun_error_t error = NULL;
  const char *word = NULL;
  char *directory = NULL;
  int running = 0, result = 0;
  if (asprintf(&directory, "%s/%s", root, id) < 0)
    return fail(failure, ENOMEM, "failed", "out of memory");
  if (access(directory, F_OK) < 0) {
    *found = MISSING;
    if (errno != ENOENT && errno != ENOTDIR)
      result = fail(failure, errno, "failed", "%.300s: %s", directory, strerror(errno));
    goto cleanup;
  }
  if (libcrun_read_container_status(&status, root, id, &error) < 0) {
    *found = HALF_MADE; /* libcrun writes its status file last */
    libcrun_error_release(&error);
    goto cleanup;
  }
  if (libcrun_get_container_state_string(id, &status, root, &word, &running, &error) < 0) {
    result = fail_libcrun(failure, -1, &error, "the state cannot be read");
    goto cleanup;
  }
  if (strcmp(word, "created") == 0)
    *found = CREATED;
  else if (strcmp(word, "paused") == 0)
    *found = PAUSED;
  else
    *found = running ? RUNNING : STOPPED;
cleanup:
  libcrun_free_container_status(&status);
  free(directory);
  return result;
}

int look(const char *root, const char *id, enum container_status *status, struct failure *failure) {
  int result = check_id(id, failure);
  if (result < 0)
    return result;
  lock_libcrun();
  result = look_locked(root, id, status, failure);
  unlock_libcrun();
  return result;
}

static int missing(const char *id, struct failure *failure) {
  return fail(failure, ENOENT, "missing", "container %s does not exist", id);
}

/* As look(), and a container that is not there is a failure. */
int look_existing(const char *root, const char *id, enum container_status *status, struct failure *failure) {
  int result = look(root, id, status, failure);
  if (result == 0 && (*status == MISSING || *status == HALF_MADE))
    result = missing(id, failure);
  return result;
}

/* As look_existing(), and one without processes, or with frozen ones, is a failure. */
int look_running(const char *root, const char *id, enum container_status *status, struct failure *failure) {
  int result = look_existing(root, id, status, failure);
  if (result == 0 && *status == STOPPED)
    result = fail(failure, ESRCH, "stopped", "container %s is not running", id);
  if (result == 0 && *status == PAUSED)
    result = fail(failure, ESRCH, "stopped", "container %s is paused", id);
  return result;
}
