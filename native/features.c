/* What this libcrun can, in the words of the runtime specification's features.md. */
#include "internal.h"

#include <ocispec/json_common.h>
#include <string.h>

static void put(yajl_gen json, const char *text) {
  yajl_gen_string(json, (const unsigned char *)text, strlen(text));
}

static void put_list(yajl_gen json, const char *name, char **words) {
  put(json, name);
  yajl_gen_array_open(json);
  for (size_t i = 0; words != NULL && words[i] != NULL; i++)
    put(json, words[i]);
  yajl_gen_array_close(json);
}

static void put_flag(yajl_gen json, const char *name, bool flag) {
  put(json, name);
  yajl_gen_bool(json, flag);
}

static void put_enabled(yajl_gen json, const char *name, bool enabled) {
  put(json, name);
  yajl_gen_map_open(json);
  put_flag(json, "enabled", enabled);
  yajl_gen_map_close(json);
}

static void put_linux(yajl_gen json, const struct linux_info_s *info) {
  put(json, "linux");
  yajl_gen_map_open(json);
  put_list(json, "namespaces", info->namespaces);
  put_list(json, "capabilities", info->capabilities);
  put(json, "cgroup");
  yajl_gen_map_open(json);
  put_flag(json, "v1", info->cgroup.v1);
  put_flag(json, "v2", info->cgroup.v2);
  put_flag(json, "systemd", info->cgroup.systemd);
  put_flag(json, "systemdUser", info->cgroup.systemd_user);
  yajl_gen_map_close(json);
  put(json, "seccomp");
  yajl_gen_map_open(json);
  put_flag(json, "enabled", info->seccomp.enabled);
  put_list(json, "actions", info->seccomp.actions);
  put_list(json, "operators", info->seccomp.operators);
  put_list(json, "archs", info->seccomp.archs);
  yajl_gen_map_close(json);
  put_enabled(json, "apparmor", info->apparmor.enabled);
  put_enabled(json, "selinux", info->selinux.enabled);
  put(json, "mountExtensions");
  yajl_gen_map_open(json);
  put_enabled(json, "idmap", info->mount_ext.idmap.enabled);
  yajl_gen_map_close(json);
  put_enabled(json, "intelRdt", info->intel_rdt.enabled);
  yajl_gen_map_close(json);
}

/* Kept, because libcrun 1.21 leaks some KiB with each asking. */
static yajl_gen features;

static int ask_libcrun(struct failure *failure) {
  struct libcrun_context_s context = {.state_root = "", .id = "", .bundle = "", .fifo_exec_wait_fd = -1};
  cleanup_struct_features struct features_info_s *info = NULL;
  libcrun_error_t error = NULL;
  int result = libcrun_container_get_features(&context, &info, &error);
  if (result < 0)
    return fail_libcrun(failure, result, &error, "features");
  features = yajl_gen_alloc(NULL);
  yajl_gen_map_open(features);
  put(features, "ociVersionMin");
  put(features, info->oci_version_min);
  put(features, "ociVersionMax");
  put(features, info->oci_version_max);
  put_list(features, "hooks", info->hooks);
  put_list(features, "mountOptions", info->mount_options);
  put_linux(features, &info->linux);
  put(features, "annotations");
  yajl_gen_map_open(features);
  put(features, "run.oci.crun.version");
  put(features, info->annotations.run_oci_crun_version);
  put(features, "io.github.seccomp.libseccomp.version");
  put(features, info->annotations.io_github_seccomp_libseccomp_version);
  yajl_gen_map_close(features);
  yajl_gen_map_close(features);
  free(info->annotations.io_github_seccomp_libseccomp_version); /* libcrun's own release forgets it */
  return 0;
}

EXPORT int ncx_features(NCX_ANSWER) {
  struct failure failure = {0};
  lock_libcrun();
  int result = features == NULL ? ask_libcrun(&failure) : 0;
  unlock_libcrun();
  if (result < 0)
    return give_failure(&failure, error, error_size);
  return give_json(features, json, json_size, error, error_size);
}
