/* What the files of libncx share. Nothing here leaves the library. */
#ifndef INTERNAL_H
#define INTERNAL_H

#include "ncx.h"

#include <config.h>
#include <libcrun/container.h>
#include <libcrun/status.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define EXPORT __attribute__((visibility("default")))
#define NCX_ANSWER char *json, size_t json_size, char *error, size_t error_size

/* Why a call failed, as it goes into the caller's error buffer (ncx.h, "Errors"). */
struct failure {
  int result; /* 0, or a negative errno */
  char kind[12];
  int status;    /* libcrun's, 0 when it gave none */
  int exit_code; /* of an exec that could not start, else 0 */
  char message[2048];
  char stderr_tail[2048];
};

/* What a forked child leaves for its caller. Lives in shared memory, because the container's init inherits
   every pipe of that child until its own exec: waiting for the end of one would wait for the container. */
struct answer {
  struct failure failure;
  bool done; /* the work came to its end; else the child died on the way */
  int pid;
  int lasting_pid; /* the process that stays: a monitor */
};

/* fail.c */
int fail(struct failure *failure, int errnum, const char *kind, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int fail_libcrun(struct failure *failure, int result, libcrun_error_t *error, const char *what);
int give_failure(const struct failure *failure, char *error, size_t error_size);
int give_json(void *yajl, char *json, size_t json_size, char *error, size_t error_size);

/* child.c */
struct work {
  /* In a child of this process: 0, or a negative errno with the reason in `answer`. */
  int (*run)(void *arguments, struct answer *answer);
  /* Not NULL: the child's child runs `run`, and when that succeeded goes on here and never returns. */
  void (*stay)(void *arguments, const struct answer *answer);
  void *arguments;
  const int *keep; /* descriptors above 2 that the child needs */
  size_t keep_count;
  bool inherit_stdio;
  int timeout_ms;
};
int run_in_child(const struct work *work, struct answer *answer, struct failure *failure);
void read_tail(int fd, char *tail, size_t tail_size);
int null_stdio(int out, int err);
void __wrap_exit(int status);

/* look.c */
enum container_status { MISSING, HALF_MADE, CREATED, RUNNING, PAUSED, STOPPED };
int look(const char *root, const char *id, enum container_status *status, struct failure *failure);
int look_existing(const char *root, const char *id, enum container_status *status, struct failure *failure);
int look_running(const char *root, const char *id, enum container_status *status, struct failure *failure);
int check_id(const char *id, struct failure *failure);
int parse_signal(const char *signal, struct failure *failure);
void lock_libcrun(void);
void unlock_libcrun(void);
void forget_libcrun_lock(void);

/* bundle.c */
int load_bundle(libcrun_container_t **container, struct failure *failure);
int check_capabilities(const runtime_spec_schema_config_schema_process *process, struct failure *failure);
int check_dev(const char *rootfs, struct failure *failure);

/* overlay.c */
struct overlay {
  const char *lower, *upper, *work;
};
int mount_overlay(const struct overlay *overlay, const char *target, struct failure *failure);
int leave_host_mounts(int *host_namespace, struct failure *failure);

/* cgroup.c */
void remove_cgroup(const char *cgroups_path, bool kill_first);

#endif
