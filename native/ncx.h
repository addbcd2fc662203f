/* libncx: libcrun 1.21 for a program that goes on living. Strings and integers in and out, no struct.

   Common to every call:
   - It returns 0, or a negative errno. On 0 `json` holds the answer, `{}` where there is nothing to say;
     else `error` holds the reason. Both are the caller's, NUL-terminated, and not kept. -EOVERFLOW: the
     answer does not fit into `json_size`.
   - Strings are the caller's and not kept. "" is a string that is not given; none is NULL.
   - `root` is the folder of libcrun's state, `id` is checked: [A-Za-z0-9][A-Za-z0-9_.+-]{0,127}.
   - Any number of calls at once, from any thread.
   - What changes something is done in a child of the forker, a small process of the library's own that the first
     such call starts: a fork of it copies little, one of the caller much. Folders and files are absolute paths.
     The child is in its own session, without the caller's descriptors, signal handlers, blocked or ignored
     signals, raised RLIMIT_NOFILE and environment. A crash of libcrun is an error. After `timeout_ms` the child
     is killed and the result is -ETIMEDOUT.
   - The child of a caller that is killed finishes its work; then the forker ends. A forker that is killed takes
     the calls under way with it, whose result is -ECONNRESET; the next call starts a new one.

   Errors: {"kind", "message", "status"?, "exitCode"?, "stderr"?}. `status` is libcrun's errno, `stderr` the
   last 2 KiB that libcrun or a hook wrote there. Kinds, found by looking before libcrun is asked:
     missing   no such container             stopped   it has no processes, or they are frozen
     exists    the id is taken               running   it is running already, or still
     id        not an id                     bundle    config.json is missing or malformed
     refused   a field that must not pass, named in the message
     exec      the program cannot be run; `exitCode` is 126 or 127, as a shell has it
     space     ENOSPC or EDQUOT              timeout   see above
     failed    whatever libcrun or the kernel said

   Load the library only into a sealed program (native/launch.c): libcrun's constructor runs any other one a
   second time (CVE-2019-5736). */
#ifndef NCX_H
#define NCX_H

#include <stddef.h>
#include <stdint.h>

/* The program nexcage-forker, for the calls that change something. Starts nothing. */
int ncx_open(const char *forker, char *json, size_t json_size, char *error, size_t error_size);

/* {"libcrun":"1.21"} */
int ncx_version(char *json, size_t json_size, char *error, size_t error_size);

/* The runtime specification's features.md. */
int ncx_features(char *json, size_t json_size, char *error, size_t error_size);

/* The ids with a state, as an array in no order. A root that is not there has none. */
int ncx_list(const char *root, char *json, size_t json_size, char *error, size_t error_size);

/* The OCI state, with libcrun's own fields. */
int ncx_state(const char *root, const char *id, char *json, size_t json_size, char *error, size_t error_size);

/* The pids of every process in the container's cgroup, as the host sees them. */
int ncx_pids(const char *root, const char *id, char *json, size_t json_size, char *error, size_t error_size);

/* Makes a container from BUNDLE/config.json, and gives {"pid", "monitorPid"}, pids on the host.

   `lower`, `upper` and `work_folder`, all or none: an overlay is mounted on the config's root.path, in a mount
   namespace that only the container keeps; the host never sees it and nobody unmounts it.

   `monitor` is the program nexcage-monitor, "" for none; then stdout and stderr are /dev/null, or with
   `inherit_stdio` stdin, stdout and stderr are the caller's. With one (see native/monitor.c) it becomes the
   parent of the container's init, and outlives the caller. `io` is a folder of this container alone, which is
   there: it gets the pipes `stdout` and `stderr` and the lock file `monitor`, and stays the caller's to remove
   after the delete. `log` may grow to `log_max_bytes`, then it is renamed to LOG.1: both together never take
   more than twice that. `exit_record` is written when the init has ended.

   Refused before anything is made: a config without linux.cgroupsPath, one without a mount namespace, one that mounts
   nothing on /dev, a root whose /dev is something else than a folder, unknown capabilities, linux.netDevices,
   linux.memoryPolicy, linux.intelRdt.schemata, linux.intelRdt.enableMonitoring. Whatever fails, no state, process, mount or cgroup of it is left. */
int ncx_create(const char *root, const char *id, const char *bundle, const char *lower, const char *upper,
               const char *work_folder, const char *monitor, const char *io, const char *log, int64_t log_max_bytes,
               const char *exit_record, int inherit_stdio, int timeout_ms, char *json, size_t json_size, char *error,
               size_t error_size);

/* Starts a created container's process. */
int ncx_start(const char *root, const char *id, int timeout_ms, char *json, size_t json_size, char *error,
              size_t error_size);

/* `signal`: "SIGTERM", "TERM", "15", "RTMIN+1". With `all` to every process of the container, else its init. */
int ncx_kill(const char *root, const char *id, const char *signal, int all, int timeout_ms, char *json,
             size_t json_size, char *error, size_t error_size);

/* Removes a created or stopped container. With `force` also a running, frozen or half-made one; and where
   there is none, that is no error. */
int ncx_delete(const char *root, const char *id, int force, int timeout_ms, char *json, size_t json_size, char *error,
               size_t error_size);

/* Freezes every process, and returns when they are frozen. Twice is no error. */
int ncx_pause(const char *root, const char *id, int timeout_ms, char *json, size_t json_size, char *error,
              size_t error_size);
int ncx_resume(const char *root, const char *id, int timeout_ms, char *json, size_t json_size, char *error,
               size_t error_size);

/* `resources` is the JSON of linux.resources; what it leaves out stays. */
int ncx_update(const char *root, const char *id, const char *resources, int timeout_ms, char *json, size_t json_size,
               char *error, size_t error_size);

/* Runs another process in a created or running container; `process` is the JSON of the specification's
   `process`. Gives {"pid", "stdin", "stdout", "stderr", "control"}: the pid on the host, and descriptors that are
   from now on the caller's, blocking and close-on-exec. With `terminal` the process has a terminal of the
   container's own, of this size; what goes into stdin is typed there, its end is typed as ^D; stderr is -1.
   `control` is a stream socket. When the process has ended one line comes from it, {"exitCode":N} or
   {"signal":N}; its end without a line means that who watched was killed. "ROWS COLUMNS\n" written there sets
   the size of the terminal. When the caller closes it, or dies, the process and its group are killed. */
int ncx_exec(const char *root, const char *id, const char *process, int terminal, int rows, int columns,
             const char *monitor, int timeout_ms, char *json, size_t json_size, char *error, size_t error_size);

/* {"pid"} of the monitor of `io`, or of who is just making the container; 0 where there is neither. */
int ncx_monitor_pid(const char *io, char *json, size_t json_size, char *error, size_t error_size);

/* A new monitor for the running init `pid`, whose own was killed: {"monitorPid"}. It goes on with the log, and
   when the init ends it records when, without an exit code, which only a parent learns. kind `exists`: there is
   one already. */
int ncx_attach(const char *monitor, const char *io, const char *log, int64_t log_max_bytes, const char *exit_record,
               int pid, int timeout_ms, char *json, size_t json_size, char *error, size_t error_size);

/* {"overlay":true} when an overlay can be mounted whose upper folder is on the file system of the folder `path`,
   else {"overlay":false}. Leaves nothing behind. */
int ncx_can_overlay(const char *path, int timeout_ms, char *json, size_t json_size, char *error, size_t error_size);

#endif
