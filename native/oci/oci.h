/* What the files of nexcage-oci share. */
#ifndef OCI_H
#define OCI_H

#include "../internal.h"
#include "line.h"

#include <limits.h>

/* One command of the command line. */
struct call_line {
  struct line line;
  const char *id;                      /* NULL for none */
  char run[PATH_MAX], lib[PATH_MAX];   /* the agent's folders (agent/paths.ts) */
  char root[PATH_MAX];                 /* libcrun's state in it */
};

/* door.c */
enum door { HERE, TYPESCRIPT, TYPESCRIPT_ROUTES };
/* Fills in the folders and the id. */
int find_folders(struct call_line *call, struct failure *failure);
enum door door_of(const struct call_line *call);
/* Whether it is the rest of the agent's. */
bool has_record(const struct call_line *call, const char *id);

/* node.c: the rest of the agent. */
void __attribute__((noreturn)) become_agent(const char *name, const char *library, const struct line *line, char **arguments);
bool routes_to_crun(const char *name, const char *library, const struct call_line *call, struct failure *failure);

/* serve.c: answers what it can, and returns with the command line for the rest of the agent. */
char **serve_last_look(const struct call_line *call, const char *library, char **arguments);

/* report.c */
int open_report(const struct call_line *call, struct failure *failure);
/* The one line on stderr and in the log. */
void report(const struct failure *failure);
/* Whether libcrun has told of an error by itself, as of a hook's. */
bool has_said(void);
int fail_crun(struct failure *failure, libcrun_error_t *error);
struct libcrun_context_s context_of(const struct call_line *call);

/* One function a command: an exit status, or negative with the reason in `failure`. */
int oci_create(const struct call_line *call, struct failure *failure);
int oci_run(const struct call_line *call, struct failure *failure);
int oci_start(const struct call_line *call, struct failure *failure);
int oci_state(const struct call_line *call, struct failure *failure);
int oci_kill(const struct call_line *call, struct failure *failure);
int oci_delete(const struct call_line *call, struct failure *failure);
int oci_exec(const struct call_line *call, struct failure *failure);
int oci_ps(const struct call_line *call, struct failure *failure);
int oci_pause(const struct call_line *call, struct failure *failure);
int oci_resume(const struct call_line *call, struct failure *failure);
int oci_update(const struct call_line *call, struct failure *failure);
int oci_spec(const struct call_line *call, struct failure *failure);
int oci_events(const struct call_line *call, struct failure *failure);

/* descriptors.c */
int set_descriptors(const struct line *line, struct libcrun_context_s *context, struct failure *failure);

/* lock.c */
struct lock {
  int fd; /* -1 while it is not held */
  char path[PATH_MAX + 160];
};
void find_lock_folder(const struct call_line *call, char folder[PATH_MAX]);
/* Waits so long at most for who holds it. */
int take_lock(struct lock *lock, const struct call_line *call, const char *name, double seconds, struct failure *failure);
void give_back(struct lock *lock);
/* For as long as a container is made. */
int lock_container(const struct call_line *call, struct failure *failure);
void unlock_container(void);
/* Removes the file that who was killed has left; of a lock that is held nothing. */
void forget_lock(const struct call_line *call, const char *id);

/* create.c: the cgroup that a container has whose bundle names none, with what runs in it. */
void remove_own_cgroup(const struct call_line *call, const char *id);

/* notify.c: whose readiness is told. */
void notify_of(const struct call_line *call);

/* terminal.c: a terminal of the process's has the size of the caller's from its first moment on. */
void size_as_caller(const struct libcrun_context_s *context, const runtime_spec_schema_config_schema_process *process);

/* user.c */
int find_user(const char *words, int container_pid, runtime_spec_schema_config_schema_process_user **user,
              struct failure *failure);

/* each.c: does `act` to the container of the command line, or with --regex to each whose id matches. */
int for_each(const struct call_line *call, int (*act)(const struct call_line *call, const char *id, struct failure *failure),
             struct failure *failure);

#endif
