/* What the library and the forker share. Nothing here leaves them. */
#ifndef INTERNAL_H
#define INTERNAL_H

#include "failure.h"
#include "ncx.h"

#include <config.h>
#include <libcrun/container.h>
#include <libcrun/status.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { FDS_MAX = 4 }; /* descriptors that a call takes along */

#define EXPORT __attribute__((visibility("default")))
#define NCX_ANSWER char *json, size_t json_size, char *error, size_t error_size

/* give.c */
int fail_libcrun(struct failure *failure, int result, libcrun_error_t *error, const char *what);
int give_failure(const struct failure *failure, char *error, size_t error_size);
int give_json(void *yajl, char *json, size_t json_size, char *error, size_t error_size);
void explain_exec(int from, struct failure *failure);

/* look.c */
enum container_status { MISSING, HALF_MADE, CREATED, RUNNING, PAUSED, STOPPED };
int look(const char *root, const char *id, enum container_status *status, struct failure *failure);
int look_existing(const char *root, const char *id, enum container_status *status, struct failure *failure);
int look_running(const char *root, const char *id, enum container_status *status, struct failure *failure);
int check_id(const char *id, struct failure *failure);
int parse_signal(const char *signal, struct failure *failure);
void lock_libcrun(void);
void unlock_libcrun(void);

/* call.c: what a child of the forker is asked, and what it answers, as they go over the call's socket. */
enum work { START, KILL, DELETE, PAUSE, RESUME, UPDATE, TRY_OVERLAY, CREATE, ATTACH, EXEC, WORKS };

struct call {
  enum work work;
  int timeout_ms;
  bool all, force, terminal, inherit_stdio;
  enum container_status status; /* as the caller saw it */
  int pid, rows, columns;
  int64_t log_max_bytes;
  size_t fd_count;
  int fds[FDS_MAX]; /* that the work needs; on each side its own numbers of them */
  union {
    struct {
      const char *root, *id, *bundle, *lower, *upper, *work_folder, *monitor, *io, *log, *exit_record, *signal,
          *resources, *process, *folder;
    };
    const char *texts[14]; /* NULL becomes "" on the way */
  };
};

struct answer {
  struct failure failure;
  int pid;
  int lasting_pid; /* the process that stays: a monitor */
};

int send_call(int socket, const struct call *call);
char *receive_call(int socket, struct call *call);
void send_answer(int socket, const struct answer *answer);

/* ask.c, in the library: has the work done by a child of the forker. */
int ask(const struct call *call, struct answer *answer, struct failure *failure);

#endif
