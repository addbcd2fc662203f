/* The C library by itself, for native/sanitize: every call, with its errors, from a small sealed program.

     test FOLDER PROGRAMS CGROUP CYCLES

   FOLDER holds a rootfs with busybox, PROGRAMS the forker and the monitor; CGROUP is a cgroup path for its
   containers. With 0 CYCLES none is made. Ends with 0, or names the first thing that was not as it should be. What
   containers see is tested in test/native/. */
#define _GNU_SOURCE
#include "log.h"
#include "ncx.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TIMEOUT_MS = 60 * 1000 };

static const char *folder, *cgroup;
static char root[4096], monitor[4096], forker[4096];
static __thread char json[64 * 1024], error[16 * 1024];

#define ANSWER json, sizeof json, error, sizeof error

/* libcrun_container_get_features of 1.21, called once. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:_libcap_strdup\nleak:populate_array_field\n";
}

static void __attribute__((noreturn, format(printf, 2, 3))) stop(int line, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "native/test.c:%d: ", line);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  _exit(1);
}

#define OK(call)                                        \
  do {                                                  \
    if ((call) != 0)                                    \
      stop(__LINE__, "%s: %s", #call, error);           \
  } while (0)

/* The call fails with this kind. */
#define FAILS(kind, call)                                                                \
  do {                                                                                   \
    error[0] = '\0';                                                                     \
    if ((call) >= 0 || strstr(error, "\"kind\":\"" kind "\"") == NULL)                   \
      stop(__LINE__, "%s: not \"%s\" but %s", #call, kind, error[0] ? error : "success"); \
  } while (0)

#define TRUE(condition)                      \
  do {                                       \
    if (!(condition))                        \
      stop(__LINE__, "not so: %s", #condition); \
  } while (0)

static void write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "we");
  TRUE(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static const char *path_of(const char *id, const char *suffix) {
  static __thread char paths[8][4096];
  static __thread int next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s%s", folder, id, suffix);
  return path;
}

struct config {
  const char *args, *mounts, *more_linux, *more_process;
  int no_cgroup;
};

static const char sleeper[] = "\"/bin/sleep\",\"1000\"";
static const char mounts[] = "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
                             "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","
                             "\"options\":[\"newinstance\",\"ptmxmode=0666\"]},"
                             "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}";

/* BUNDLE/config.json; gives the bundle. */
static const char *make_bundle(const char *id, const struct config *config) {
  char text[8192], cgroups_path[512] = "";
  const char *bundle = path_of(id, ".bundle");
  if (!config->no_cgroup)
    snprintf(cgroups_path, sizeof cgroups_path, "\"cgroupsPath\":\"%s/%s\",", cgroup, id);
  snprintf(text, sizeof text,
           "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"%s/rootfs\"},\"process\":{\"cwd\":\"/\",\"args\":[%s],"
           "\"env\":[\"PATH=/bin\"],\"user\":{\"uid\":0,\"gid\":0}%s},\"mounts\":[%s],\"linux\":{%s\"namespaces\":["
           "{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}]%s}}",
           folder, config->args ? config->args : sleeper, config->more_process ? config->more_process : "",
           config->mounts ? config->mounts : mounts, cgroups_path, config->more_linux ? config->more_linux : "");
  mkdir(bundle, 0700);
  write_text(path_of(id, ".bundle/config.json"), text);
  return bundle;
}

static int create(const char *id, const char *bundle) {
  return ncx_create(root, id, bundle, "", "", "", "", "", "", 0, "", 0, TIMEOUT_MS, ANSWER);
}

static int create_watched(const char *id, const char *bundle, int64_t max_bytes) {
  mkdir(path_of(id, ".io"), 0700);
  unlink(path_of(id, ".exit"));
  return ncx_create(root, id, bundle, "", "", "", monitor, path_of(id, ".io"), path_of(id, ".log"), max_bytes,
                    path_of(id, ".exit"), 0, TIMEOUT_MS, ANSWER);
}

static void wait_ms(int ms) {
  struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000L};
  nanosleep(&pause, NULL);
}

static void wait_for_file(const char *path) {
  for (int i = 0; access(path, F_OK) < 0; i++) {
    if (i > 20000)
      stop(__LINE__, "%s did not come", path);
    wait_ms(2);
  }
}

static void wait_for_status(const char *id, const char *status) {
  for (int i = 0;; i++) {
    OK(ncx_state(root, id, ANSWER));
    if (strstr(json, status) != NULL)
      return;
    if (i > 20000)
      stop(__LINE__, "%s is not %s but %s", id, status, json);
    wait_ms(2);
  }
}

static char *read_text(const char *path) {
  static char text[1024 * 1024];
  FILE *file = fopen(path, "re");
  if (file == NULL)
    stop(__LINE__, "%s: %s", path, strerror(errno));
  text[fread(text, 1, sizeof text - 1, file)] = '\0';
  fclose(file);
  return text;
}

static void test_words(void) {
  const char *const bad[] = {"", "../x", ".x", "a b", "a/b", "a\nb"};
  char small[4];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    FAILS("id", ncx_state(root, bad[i], ANSWER));
  OK(ncx_version(ANSWER));
  TRUE(strstr(json, "\"libcrun\":\"1.21\"") != NULL);
  OK(ncx_features(ANSWER));
  TRUE(strstr(json, "CAP_CHECKPOINT_RESTORE") != NULL);
  TRUE(ncx_features(small, sizeof small, error, sizeof error) == -EOVERFLOW);
  OK(ncx_list("/nonexistent", ANSWER));
  TRUE(strcmp(json, "[]") == 0);
  FAILS("missing", ncx_state(root, "none", ANSWER));
  FAILS("missing", ncx_start(root, "none", TIMEOUT_MS, ANSWER));
  FAILS("missing", ncx_delete(root, "none", 0, TIMEOUT_MS, ANSWER));
  OK(ncx_delete(root, "none", 1, TIMEOUT_MS, ANSWER));
}

static void test_refusals(void) {
  static const struct config bad[] = {
      {.no_cgroup = 1},
      {.mounts = "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}"},
      {.more_linux = ",\"netDevices\":{}"},
      {.more_linux = ",\"memoryPolicy\":{}"},
      {.more_process = ",\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_NOPE\"]}"},
      {.args = ""},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    FAILS("refused", create("bad", make_bundle("bad", &bad[i])));
  FAILS("bundle", create("bad", "/nonexistent"));
  write_text(path_of("bad", ".bundle/config.json"), "{");
  FAILS("bundle", create("bad", path_of("bad", ".bundle")));
  OK(ncx_list(root, ANSWER));
  TRUE(strcmp(json, "[]") == 0);
}

static void test_life(void) {
  static char long_text[1024 * 1024];
  const char *bundle = make_bundle("life", &(struct config){0});
  OK(create("life", bundle));
  FAILS("exists", create("life", bundle));
  OK(ncx_start(root, "life", TIMEOUT_MS, ANSWER));
  FAILS("running", ncx_start(root, "life", TIMEOUT_MS, ANSWER));
  FAILS("running", ncx_delete(root, "life", 0, TIMEOUT_MS, ANSWER));
  FAILS("refused", ncx_kill(root, "life", "SIGNOPE", 0, TIMEOUT_MS, ANSWER));
  OK(ncx_pids(root, "life", ANSWER));
  TRUE(json[0] == '[' && json[1] != ']');
  OK(ncx_list(root, ANSWER));
  TRUE(strcmp(json, "[\"life\"]") == 0);
  OK(ncx_update(root, "life", "{\"pids\":{\"limit\":50}}", TIMEOUT_MS, ANSWER));
  FAILS("failed", ncx_update(root, "life", "{", TIMEOUT_MS, ANSWER));
  memset(long_text, ' ', sizeof long_text); /* more than a socket holds */
  strcpy(long_text + sizeof long_text - 64, "{\"pids\":{\"limit\":60}}");
  OK(ncx_update(root, "life", long_text, TIMEOUT_MS, ANSWER));
  OK(ncx_pause(root, "life", TIMEOUT_MS, ANSWER));
  wait_for_status("life", "paused");
  OK(ncx_resume(root, "life", TIMEOUT_MS, ANSWER));
  OK(ncx_kill(root, "life", "RTMIN+2", 1, TIMEOUT_MS, ANSWER));
  OK(ncx_kill(root, "life", "sigkill", 0, TIMEOUT_MS, ANSWER));
  wait_for_status("life", "stopped");
  FAILS("stopped", ncx_kill(root, "life", "TERM", 0, TIMEOUT_MS, ANSWER));
  OK(ncx_delete(root, "life", 0, TIMEOUT_MS, ANSWER));
}

static void test_monitor(void) {
  struct config talker = {.args = "\"/bin/sh\",\"-c\",\"seq 1 30000; echo error >&2; exit 5\""};
  OK(create_watched("talk", make_bundle("talk", &talker), LOG_MAX_BYTES_LEAST));
  FAILS("exists", ncx_attach(monitor, path_of("talk", ".io"), path_of("talk", ".log"), 0, path_of("talk", ".exit"),
                             1, TIMEOUT_MS, ANSWER));
  OK(ncx_start(root, "talk", TIMEOUT_MS, ANSWER));
  wait_for_file(path_of("talk", ".exit"));
  TRUE(strstr(read_text(path_of("talk", ".exit")), "{\"exitCode\":5,\"oomKilled\":false,") != NULL);
  char *log = read_text(path_of("talk", ".log"));
  TRUE(strstr(log, " stdout F 30000\n") != NULL && strlen(log) <= LOG_MAX_BYTES_LEAST);
  TRUE(strlen(read_text(path_of("talk", ".log.1"))) <= LOG_MAX_BYTES_LEAST);
  OK(ncx_delete(root, "talk", 0, TIMEOUT_MS, ANSWER));
  do
    OK(ncx_monitor_pid(path_of("talk", ".io"), ANSWER));
  while (strcmp(json, "{\"pid\":0}") != 0);
}

static int number_of(const char *name) {
  char key[32];
  snprintf(key, sizeof key, "\"%s\":", name);
  char *at = strstr(json, key);
  TRUE(at != NULL);
  return atoi(at + strlen(key));
}

/* What comes from `fd` until its end, or its first line with `is_line`. */
static char *read_fd(int fd, int is_line) {
  static char text[65536];
  size_t length = 0;
  ssize_t count;
  while ((count = read(fd, text + length, sizeof text - 1 - length)) > 0) {
    length += count;
    if (is_line && text[length - 1] == '\n')
      break;
  }
  text[length] = '\0';
  return text;
}

static void test_exec(void) {
  static const char cat[] = "{\"args\":[\"/bin/sh\",\"-c\",\"cat; exit 3\"],\"cwd\":\"/\",\"env\":[\"PATH=/bin\"]}";
  static const char missing[] = "{\"args\":[\"/bin/nope\"],\"cwd\":\"/\",\"env\":[]}";
  OK(create_watched("exec", make_bundle("exec", &(struct config){0}), 0));
  OK(ncx_start(root, "exec", TIMEOUT_MS, ANSWER));
  for (int terminal = 0; terminal < 2; terminal++) {
    OK(ncx_exec(root, "exec", cat, terminal, 20, 80, monitor, TIMEOUT_MS, ANSWER));
    int in = number_of("stdin"), out = number_of("stdout"), err = number_of("stderr"), control = number_of("control");
    TRUE((err < 0) == terminal);
    TRUE(write(control, "30 90\n", 6) == 6 && write(in, "hello\n", 6) == 6 && close(in) == 0);
    TRUE(strstr(read_fd(out, 0), "hello") != NULL);
    TRUE(strcmp(read_fd(control, 1), "{\"exitCode\":3}\n") == 0);
    close(out);
    close(control);
    if (err >= 0)
      close(err);
    FAILS("exec", ncx_exec(root, "exec", missing, terminal, 20, 80, monitor, TIMEOUT_MS, ANSWER));
    TRUE(strstr(error, "\"exitCode\":127") != NULL);
  }
  FAILS("refused", ncx_exec(root, "exec", "{}", 0, 0, 0, monitor, TIMEOUT_MS, ANSWER));
  FAILS("refused", ncx_exec(root, "exec", "[", 0, 0, 0, monitor, TIMEOUT_MS, ANSWER));
  OK(ncx_delete(root, "exec", 1, TIMEOUT_MS, ANSWER));
}

static void test_overlay(void) {
  struct config writer = {.args = "\"/bin/sh\",\"-c\",\"echo > /mine\""};
  const char *bundle = make_bundle("over", &writer);
  char upper[4096];
  mkdir(path_of("over", ".upper"), 0755);
  mkdir(path_of("over", ".work"), 0700);
  OK(ncx_can_overlay(folder, TIMEOUT_MS, ANSWER));
  OK(ncx_create(root, "over", bundle, path_of("", "rootfs"), path_of("over", ".upper"), path_of("over", ".work"), "",
                "", "", 0, "", 0, TIMEOUT_MS, ANSWER));
  OK(ncx_start(root, "over", TIMEOUT_MS, ANSWER));
  snprintf(upper, sizeof upper, "%s", path_of("over", ".upper/mine"));
  wait_for_file(upper);
  OK(ncx_delete(root, "over", 1, TIMEOUT_MS, ANSWER));
  TRUE(access(path_of("", "rootfs/mine"), F_OK) < 0);
}

/* Every line comes out whole, in order, and no file passes its bound. */
static void test_log(void) {
  static struct log log;
  char text[LOG_LINE_MAX], path[4096];
  struct stat file;
  snprintf(path, sizeof path, "%s", path_of("unit", ".log"));
  log_open(&log, path, LOG_MAX_BYTES_LEAST);
  memset(text, 'x', sizeof text);
  for (unsigned int i = 0; i < 5000; i++) {
    log_set_time(&log);
    log_line(&log, i % 2 ? "stdout" : "stderr", i % 3, text, i * 7919 % sizeof text);
    if (i % 5 == 0)
      log_flush(&log);
    TRUE(stat(path, &file) < 0 || file.st_size <= LOG_MAX_BYTES_LEAST);
  }
  log_flush(&log);
  TRUE(log.dropped == 0 && close(log.fd) == 0);
  for (const char *line = read_text(path); *line != '\0'; line = strchr(line, '\n') + 1) {
    TRUE(strchr(line, '\n') != NULL);
    TRUE(strncmp(line + 30, " stdout ", 8) == 0 || strncmp(line + 30, " stderr ", 8) == 0);
  }
}

static void *live(void *id) {
  OK(create(id, make_bundle(id, &(struct config){0})));
  for (int i = 0; i < 20; i++)
    OK(ncx_state(root, id, ANSWER));
  OK(ncx_start(root, id, TIMEOUT_MS, ANSWER));
  OK(ncx_pause(root, id, TIMEOUT_MS, ANSWER)); /* looks in its forked child, while other threads look here */
  OK(ncx_resume(root, id, TIMEOUT_MS, ANSWER));
  OK(ncx_delete(root, id, 1, TIMEOUT_MS, ANSWER));
  return NULL;
}

static void test_threads(void) {
  static char ids[8][32];
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) {
    snprintf(ids[i], sizeof ids[i], "thread-%d", i);
    TRUE(pthread_create(&threads[i], NULL, live, ids[i]) == 0);
  }
  for (int i = 0; i < 8; i++)
    pthread_join(threads[i], NULL);
}

/* The one child of the main thread, 0 for none. */
static pid_t forker_pid(void) {
  return atoi(read_text("/proc/thread-self/children"));
}

static void *create_slowly(void *id) {
  struct config hook = {
      .more_linux = "},\"hooks\":{\"createRuntime\":[{\"path\":\"/bin/sleep\",\"args\":[\"sleep\",\"1000\"]}]"};
  FAILS("failed", create(id, make_bundle(id, &hook)));
  TRUE(strstr(error, "was killed") != NULL);
  return NULL;
}

/* In the middle of calls it is an error, of which nothing is left; between calls it is nothing. */
static void test_killed_forker(void) {
  static char ids[2][8] = {"slow-0", "slow-1"};
  pthread_t threads[2];
  for (int i = 0; i < 2; i++)
    TRUE(pthread_create(&threads[i], NULL, create_slowly, ids[i]) == 0);
  for (int i = 0; i < 2; i++) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s/config.json", root, ids[i]);
    wait_for_file(path);
  }
  pid_t killed = forker_pid();
  TRUE(kill(killed, SIGKILL) == 0);
  for (int i = 0; i < 2; i++)
    pthread_join(threads[i], NULL);
  TRUE(kill(killed, 0) < 0 && errno == ESRCH); /* reaped */
  OK(ncx_list(root, ANSWER));
  TRUE(strcmp(json, "[]") == 0);
  OK(create("next", make_bundle("next", &(struct config){0})));
  killed = forker_pid();
  TRUE(kill(killed, SIGKILL) == 0 && waitid(P_PID, killed, NULL, WEXITED | WNOWAIT) == 0);
  OK(ncx_delete(root, "next", 1, TIMEOUT_MS, ANSWER));
}

static int count_descriptors(pid_t pid) {
  int count = 0;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd", pid);
  DIR *fds = opendir(path);
  while (readdir(fds) != NULL)
    count++;
  closedir(fds);
  return count;
}

static long resident_kb(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  char *at = strstr(read_text(path), "VmRSS:");
  return at == NULL ? 0 : atol(at + strlen("VmRSS:"));
}

/* Until the forker has reaped all its children, and so closed their sockets. */
static void wait_for_idle_forker(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", forker_pid(), forker_pid());
  for (int i = 0; read_text(path)[0] != '\0' && i < 10000; i++)
    wait_ms(2);
  TRUE(read_text(path)[0] == '\0');
  wait_ms(2);
}

static void test_cycles(int cycles) {
  const char *bundle = make_bundle("cycle", &(struct config){0});
  const pid_t pids[] = {getpid(), forker_pid()};
  int descriptors[2] = {0};
  long kb[2] = {0};
  for (int i = 0; i < cycles; i++) {
    OK(create("cycle", bundle));
    OK(ncx_start(root, "cycle", TIMEOUT_MS, ANSWER));
    OK(ncx_state(root, "cycle", ANSWER));
    OK(ncx_delete(root, "cycle", 1, TIMEOUT_MS, ANSWER));
    FAILS("missing", ncx_state(root, "cycle", ANSWER));
    if (i == cycles / 10)
      wait_for_idle_forker();
    for (int process = 0; process < 2 && i == cycles / 10; process++) {
      descriptors[process] = count_descriptors(pids[process]);
      kb[process] = resident_kb(pids[process]);
    }
  }
  wait_for_idle_forker();
  for (int process = 0; process < 2; process++) {
    int more = count_descriptors(pids[process]) - descriptors[process];
    printf("%d cycles: %s: %+d descriptors, %+ld kB\n", cycles, process == 0 ? "library" : "forker", more,
           resident_kb(pids[process]) - kb[process]);
    fflush(stdout);
    TRUE(more == 0);
  }
}

int main(int count, char **arguments) {
  if (count != 5)
    stop(__LINE__, "usage: test FOLDER PROGRAMS CGROUP CYCLES");
  folder = arguments[1];
  snprintf(monitor, sizeof monitor, "%s/nexcage-monitor", arguments[2]);
  snprintf(forker, sizeof forker, "%s/nexcage-forker", arguments[2]);
  cgroup = arguments[3];
  snprintf(root, sizeof root, "%s/state", folder);
  test_words();
  FAILS("failed", ncx_open("/nonexistent", ANSWER));
  OK(ncx_open(forker, ANSWER));
  TRUE(forker_pid() == 0); /* no call that looks starts it */
  test_refusals();
  test_log();
  if (atoi(arguments[4]) == 0)
    return 0;
  test_life();
  test_monitor();
  test_exec();
  test_overlay();
  for (int i = 0; i <= atoi(arguments[4]) / 50; i++)
    test_threads();
  test_killed_forker();
  OK(create("last", make_bundle("last", &(struct config){0})));
  OK(ncx_delete(root, "last", 1, TIMEOUT_MS, ANSWER));
  test_cycles(atoi(arguments[4]));
  TRUE(waitpid(-1, NULL, WNOHANG) == 0); /* only the forker is there, and has no child that was not reaped: */
  wait_for_idle_forker();
  return 0;
}
