/* Which containers are whose, by looking: those of libcrun's without a record are this program's, those with one
   (agent/state/records.ts) and those of other runtimes are the rest of the agent's. */
#define _GNU_SOURCE
#include "oci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_root_of_host(void) {
  char map[64] = "";
  FILE *file = fopen("/proc/self/uid_map", "re");
  if (file != NULL) {
    if (fgets(map, sizeof map, file) == NULL)
      map[0] = '\0';
    fclose(file);
  }
  unsigned inside, outside, length;
  return geteuid() == 0 && sscanf(map, "%u %u %u", &inside, &outside, &length) == 3 && inside == 0 && outside == 0;
}

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value == NULL || value[0] == '\0' ? NULL : value;
}

/* As Node's resolve() does it, so that both doors have one name for one folder: no "//", "/./", "/../" and no slash at
   the end. `path` begins with a slash. */
static void normalise(char *path) {
  char *out = path, *part = path;
  while (*part != '\0') {
    size_t length = strcspn(++part, "/");
    if (length == 2 && strncmp(part, "..", 2) == 0) {
      while (out > path && *--out != '/')
        ;
    } else if (length > 0 && !(length == 1 && part[0] == '.')) {
      *out++ = '/';
      memmove(out, part, length);
      out += length;
    }
    part += length;
  }
  if (out == path)
    *out++ = '/';
  *out = '\0';
}

/* As agent/paths.ts has them, and for others than root below their own folder. */
int find_folders(struct call_line *call, struct failure *failure) {
  static const char standard[] = "/run/nexcage";
  char own[PATH_MAX], here[PATH_MAX] = "";
  const char *run = value_of(&call->line, "root"), *lib = variable("NEXCAGE_LIB_DIR");
  if (run == NULL || run[0] == '\0')
    run = variable("NEXCAGE_RUN_DIR");
  if (run == NULL && !is_root_of_host()) {
    const char *folder = variable("XDG_RUNTIME_DIR");
    if (folder != NULL)
      snprintf(own, sizeof own, "%s/nexcage", folder);
    else
      snprintf(own, sizeof own, "/run/user/%u/nexcage", (unsigned)geteuid());
    run = own;
  }
  if (run == NULL)
    run = standard;
  if (run[0] != '/' && getcwd(here, sizeof here) == NULL)
    return fail(failure, errno, "failed", "--root: the current folder: %s", strerror(errno));
  bool fits = snprintf(call->run, sizeof call->run, "%s%s%s", here, run[0] == '/' ? "" : "/", run) < PATH_MAX - 300;
  if (fits)
    normalise(call->run);
  if (strcmp(call->run, standard) == 0 && lib == NULL)
    lib = "/var/lib/nexcage";
  if (lib != NULL)
    fits = fits && snprintf(call->lib, sizeof call->lib, "%s", lib) < PATH_MAX - 300;
  else
    fits = fits && snprintf(call->lib, sizeof call->lib, "%.3700s/.lib", call->run) < PATH_MAX - 300;
  snprintf(call->root, sizeof call->root, "%.4000s/.crun", call->run);
  if (!fits)
    return fail(failure, ENAMETOOLONG, "refused", "--root: too long a path");
  if (call->line.operand_count > 0 && strcmp(call->line.word, "spec") != 0)
    call->id = call->line.operands[0];
  return 0;
}

static bool exists(const char *format, const char *folder, const char *id) {
  char path[PATH_MAX + 256];
  snprintf(path, sizeof path, format, folder, id);
  return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A guest of Proxmox's carries its container's id in its configuration, and may have come from another host without a
   record. Whether any configuration has this word: then the rest of the agent looks closer. */
static bool is_in_guests(const char *id) {
  static const char folder[] = "/etc/pve/lxc";
  DIR *guests = opendir(folder);
  struct dirent *entry;
  bool found = false;
  while (guests != NULL && !found && (entry = readdir(guests)) != NULL) {
    char text[64 * 1024 + 1];
    int fd = entry->d_name[0] == '.' ? -1 : openat(dirfd(guests), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
      close(fd);
    found = length > 0 && (length == sizeof text - 1 || memmem(text, length, id, strlen(id)) != NULL);
  }
  if (guests != NULL)
    closedir(guests);
  return found;
}

/* Options that only a caller of OCI runtimes gives, and only their containers can honour. */
static bool is_for_oci_runtime(const struct line *line) {
  static const char *const words[] = {"pid-file", "console-socket", "preserve-fds", "no-pivot", "no-new-keyring", "keep"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (is_given(line, words[i]))
      return true;
  return false;
}

/* Whether the host's settings may send a container elsewhere. */
static bool has_routing(const struct line *line) {
  static const char *const files[] = {"/etc/nexcage/config.yaml", "/etc/nexcage/config.json"};
  if (settings_of(line) != NULL)
    return true;
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (access(files[i], F_OK) == 0)
      return true;
  return false;
}

static enum door door_of_new(const struct call_line *call) {
  const char *runtime = value_of(&call->line, "runtime");
  struct failure ignored = {0};
  if (check_id(call->id, &ignored) < 0)
    return HERE; /* to be told so */
  if (is_given(&call->line, "image"))
    return TYPESCRIPT;
  if (runtime != NULL)
    return strcmp(runtime, "crun") == 0 ? HERE : TYPESCRIPT;
  if (is_for_oci_runtime(&call->line))
    return HERE;
  return has_routing(&call->line) ? TYPESCRIPT_ROUTES : HERE;
}

bool has_record(const struct call_line *call, const char *id) {
  return exists("%s/containers/%s.json", call->lib, id) || exists("%s/%s", call->run, id);
}

static bool has_container(const struct call_line *call) {
  struct failure ignored = {0};
  if (check_id(call->id, &ignored) < 0)
    return true; /* to be told so here */
  if (has_record(call, call->id))
    return false;
  return exists("%s/.crun/%s", call->run, call->id) || !is_in_guests(call->id);
}

enum door door_of(const struct call_line *call) {
  const struct line *line = &call->line;
  /* `--name ID` is the command line of 0.7, and keeps what it means there: no OCI client has it. */
  if (line->command == NULL || line->unknown != NULL || is_given(line, "help") || is_given(line, "output") ||
      is_given(line, "name") || strcmp(line->word, "serve") == 0)
    return TYPESCRIPT;
  if (strcmp(line->word, "spec") == 0 || is_given(line, "regex") || (strcmp(line->word, "state") == 0 && is_given(line, "all")))
    return HERE;
  if (call->id == NULL)
    return TYPESCRIPT;
  if (strcmp(line->word, "create") == 0 || strcmp(line->word, "run") == 0)
    return door_of_new(call);
  return has_container(call) ? HERE : TYPESCRIPT;
}
