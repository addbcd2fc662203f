/* What libcrun 1.21 lets through and must not, refused before anything is made. Runs in the forked child,
   whose current folder is the bundle. */
#define _GNU_SOURCE
#include "forker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_MAX_BYTES = 4 * 1024 * 1024 };

static int refuse(struct failure *failure, const char *field, const char *reason) {
  return fail(failure, EINVAL, "refused", "%s: %s", field, reason);
}

/* The caller frees `*text`. */
static int read_config(const char *path, char **text, struct failure *failure) {
  struct stat file;
  ssize_t count = 0, length = 0;
  int result = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return fail(failure, errno, "bundle", "%.300s: %s", path, strerror(errno));
  if (fstat(fd, &file) < 0 || !S_ISREG(file.st_mode) || file.st_size > CONFIG_MAX_BYTES) {
    result = fail(failure, EINVAL, "bundle", "config.json: not a file of at most %d bytes", CONFIG_MAX_BYTES);
    goto cleanup;
  }
  *text = calloc(1, file.st_size + 1);
  if (*text == NULL) {
    result = fail(failure, ENOMEM, "failed", "out of memory");
    goto cleanup;
  }
  while (length < file.st_size && (count = read(fd, *text + length, file.st_size - length)) > 0)
    length += count;
  if (count < 0 || strlen(*text) != (size_t)length)
    result = fail(failure, count < 0 ? errno : EINVAL, "bundle", "config.json: cannot be read as text");
cleanup:
  close(fd);
  return result;
}

/* Fields that are not in libcrun 1.21's schema: it would ignore them in silence. */
static int check_unknown_fields(const char *text, struct failure *failure) {
  static const char *const refused[][4] = {{"linux", "netDevices"},
                                           {"linux", "memoryPolicy"},
                                           {"linux", "intelRdt", "schemata"},
                                           {"linux", "intelRdt", "enableMonitoring"}};
  char reason[256] = "";
  int result = 0;
  yajl_val tree = yajl_tree_parse(text, reason, sizeof reason);
  if (tree == NULL) {
    char *end = strchr(reason, '\n');
    if (end != NULL)
      *end = '\0';
    return fail(failure, EINVAL, "bundle", "config.json: %s", reason[0] == '\0' ? "not JSON" : reason);
  }
  for (size_t i = 0; result == 0 && i < sizeof refused / sizeof *refused; i++) {
    char field[64];
    const char *path[4]; /* ended by NULL, as `refused` is */
    memcpy(path, refused[i], sizeof path);
    if (yajl_tree_get(tree, path, yajl_t_any) == NULL)
      continue;
    snprintf(field, sizeof field, "%s.%s%s%s", path[0], path[1], path[2] == NULL ? "" : ".", path[2] == NULL ? "" : path[2]);
    result = refuse(failure, field, "libcrun 1.21 does not know it and would ignore it");
  }
  yajl_tree_free(tree);
  return result;
}

bool is_capability(const char *name) {
  cap_value_t value;
  return strncasecmp(name, "CAP_", 4) == 0 && cap_from_name(name, &value) == 0;
}

static int check_capability_list(char **names, size_t count, const char *list, struct failure *failure) {
  for (size_t i = 0; i < count; i++) {
    if (!is_capability(names[i]))
      return fail(failure, EINVAL, "refused", "process.capabilities.%s: \"%.40s\" is not a capability", list, names[i]);
  }
  return 0;
}

int check_capabilities(const runtime_spec_schema_config_schema_process *process, struct failure *failure) {
  runtime_spec_schema_config_schema_process_capabilities *sets = process == NULL ? NULL : process->capabilities;
  int result = 0;
  if (sets == NULL)
    return 0;
#define CHECK(list) \
  if (result == 0)  \
  result = check_capability_list(sets->list, sets->list##_len, #list, failure)
  CHECK(bounding);
  CHECK(effective);
  CHECK(inheritable);
  CHECK(permitted);
  CHECK(ambient);
#undef CHECK
  return result;
}

/* "/dev" however it is written: "/dev/", "//dev/.". */
static bool is_dev(const char *path) {
  char *copy = strdup(path), *rest = copy, *part;
  int parts = 0;
  bool result = copy != NULL && path[0] == '/';
  while (result && (part = strsep(&rest, "/")) != NULL) {
    if (part[0] == '\0' || strcmp(part, ".") == 0)
      continue;
    result = ++parts == 1 && strcmp(part, "dev") == 0;
  }
  free(copy);
  return result && parts == 1;
}

static int check_config(runtime_spec_schema_config_schema *config, struct failure *failure) {
  bool has_dev = false, has_mounts = false;
  if (config->root == NULL || config->root->path == NULL || config->root->path[0] == '\0')
    return refuse(failure, "root.path", "is missing");
  if (config->process == NULL || config->process->args_len == 0)
    return refuse(failure, "process.args", "is missing or empty");
  if (config->linux == NULL)
    return refuse(failure, "linux", "is missing");
  if (config->linux->cgroups_path != NULL && strstr(config->linux->cgroups_path, "..") != NULL)
    return refuse(failure, "linux.cgroupsPath", "must not hold \"..\"");
  for (size_t i = 0; i < config->linux->namespaces_len; i++)
    has_mounts = has_mounts || strcmp(config->linux->namespaces[i]->type, "mount") == 0;
  if (!has_mounts)
    return refuse(failure, "linux.namespaces", "no \"mount\": what is mounted for it would stay on the host");
  for (size_t i = 0; i < config->mounts_len; i++)
    has_dev = has_dev || (config->mounts[i]->destination != NULL && is_dev(config->mounts[i]->destination));
  if (!has_dev)
    return refuse(failure, "mounts",
                  "nothing is mounted on /dev, so device nodes would be made in the rootfs (CVE-2026-47766)");
  return 0;
}

/* Reads, checks and parses the configuration `path`, from one reading; the bundle is the current folder. Free with
   libcrun_container_free. */
int load_bundle(const char *path, libcrun_container_t **container, struct failure *failure) {
  char *text = NULL;
  libcrun_error_t error = NULL;
  int result = read_config(path, &text, failure);
  if (result == 0)
    result = check_unknown_fields(text, failure);
  if (result == 0) {
    *container = libcrun_container_load_from_memory(text, &error);
    if (*container == NULL) {
      result = fail(failure, EINVAL, "bundle", "config.json: %s", error == NULL ? "cannot be parsed" : error->msg);
      libcrun_error_release(&error);
    }
  }
  if (result == 0)
    result = check_config((*container)->container_def, failure);
  free(text);
  return result;
}

/* A symlink there would make libcrun write device nodes where it points to, on the host. None at all is fine:
   libcrun makes the folder before it mounts on it. */
int check_dev(const char *rootfs, struct failure *failure) {
  struct stat found;
  int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0)
    return fail(failure, errno, "bundle", "root.path: %.300s: %s", rootfs, strerror(errno));
  if (fstatat(root, "dev", &found, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno != ENOENT)
      fail(failure, errno, "bundle", "root.path: /dev in it: %s", strerror(errno));
  } else if (!S_ISDIR(found.st_mode)) {
    refuse(failure, "root.path",
           "/dev in it is not a real directory, so device nodes would be made on the host (CVE-2026-47766)");
  }
  close(root);
  return failure->result;
}
