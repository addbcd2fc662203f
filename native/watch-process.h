/* The watcher of one process of ncx_exec, its parent. Says in one line on the socket CONTROL how it ended, and kills
   it when nobody holds the other end any more. With a terminal it passes what comes from STDIN to its MASTER,
   and from there to STDOUT, and sets its size: "ROWS COLUMNS\n" on CONTROL. */
#ifndef WATCH_PROCESS_H
#define WATCH_PROCESS_H

#include <stddef.h>

/* {PID, CONTROL} or {PID, CONTROL, MASTER, STDIN, STDOUT}. The exit code of this program. */
int watch_process(int count, char **arguments);

/* "exitCode":N or "signal":N, of a status of wait(2). */
int format_end(char *text, size_t size, int status);

#endif
