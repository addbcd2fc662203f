/* The cgroup of a container that was never finished, which libcrun leaves behind. */
#define _GNU_SOURCE
#include "forker.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void kill_processes(const char *cgroup) {
  char path[4096], line[32];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  FILE *processes = fopen(path, "re");
  if (processes == NULL)
    return;
  while (fgets(line, sizeof line, processes) != NULL)
    if (atoi(line) > 1)
      kill(atoi(line), SIGKILL);
  fclose(processes);
}

static void remove_one(const char *cgroup, bool kill_first) {
  struct timespec pause = {.tv_nsec = 5 * 1000 * 1000};
  for (int attempt = 0; attempt < 200; attempt++) { /* a killed process takes a moment to leave */
    if (rmdir(cgroup) == 0 || errno != EBUSY || !kill_first)
      return;
    kill_processes(cgroup);
    nanosleep(&pause, NULL);
  }
}

/* In every hierarchy that is mounted. Without `kill_first` only where it is empty. */
void remove_cgroup(const char *cgroups_path, bool kill_first) {
  static const char mounts[] = "/sys/fs/cgroup";
  char path[4096];
  struct dirent *entry;
  DIR *controllers = opendir(mounts);
  if (controllers == NULL || strstr(cgroups_path, "..") != NULL || strspn(cgroups_path, "/.") == strlen(cgroups_path)) {
    if (controllers != NULL)
      closedir(controllers);
    return;
  }
  while ((entry = readdir(controllers)) != NULL) {
    if (entry->d_name[0] == '.' || (entry->d_type != DT_DIR))
      continue;
    snprintf(path, sizeof path, "%s/%s/%s", mounts, entry->d_name, cgroups_path);
    remove_one(path, kill_first);
  }
  snprintf(path, sizeof path, "%s/%s", mounts, cgroups_path); /* the unified hierarchy */
  remove_one(path, kill_first);
  closedir(controllers);
}
