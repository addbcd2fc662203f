/* The first words of `serve --stdio`. Most who come only look at a host that is as the last look left it: they are
   answered from there, without Node. Who asks for more, or where anything has changed, gets the rest of the agent, which
   goes on where this stops. */
#define _GNU_SOURCE
#include "last-look.h"
#include "oci.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_tree.h>

/* As shared/protocol.ts has them. */
static const char mark[] = "nexcage-agent serve: ready\n";
enum { SILENCE_MS = 12000 };

/* What was read and is not answered yet. */
static char unread[64 * 1024];
static size_t unread_length;

struct session {
  const struct call_line *call;
  char agent[4 * PATH_MAX]; /* whose answers they are */
  struct last_look look;
  bool is_greeted;
  char fleet[64]; /* whose lock is held */
  struct lock lock;
};

static bool is_moved(void) {
  static const char *const variables[] = {"NEXCAGE_LIB_DIR", "NEXCAGE_LOG_DIR", "NEXCAGE_LOCK_DIR"};
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    if (getenv(variables[i]) != NULL)
      return true;
  return false;
}

/* `serve --stdio`, and no option that could change an answer. */
static bool is_plain_serve(const struct line *line) {
  if (line->word == NULL || strcmp(line->word, "serve") != 0 || line->unknown != NULL || line->operand_count > 0 ||
      !is_given(line, "stdio"))
    return false;
  for (size_t i = 0; i < line->given_count; i++)
    if (strcmp(line->given[i].option->name, "stdio") != 0 && strcmp(line->given[i].option->name, "root") != 0)
      return false;
  return true;
}

/* The lock that is held, for who interrupts. */
static const char *volatile held;

/* As the rest of the agent ends. */
static void interrupt(int signal) {
  (void)signal;
  if (held != NULL)
    unlink(held);
  _exit(0);
}

static void await_signals(void) {
  static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    sigaction(signals[i], &(struct sigaction){.sa_handler = interrupt}, NULL);
}

static void unlock(struct session *session) {
  held = NULL;
  give_back(&session->lock);
}

/* Nobody is there any more to whom more could be said. */
static void __attribute__((noreturn)) end_session(struct session *session) {
  unlock(session);
  _exit(0);
}

static void say(struct session *session, const char *text, size_t length) {
  while (length > 0) {
    ssize_t count = write(1, text, length);
    if (count >= 0) {
      text += count;
      length -= count;
    } else if (errno == EAGAIN) {
      poll(&(struct pollfd){1, POLLOUT, 0}, 1, -1);
    } else if (errno != EINTR) {
      end_session(session);
    }
  }
}

/* One write, because the sshd between the ends wakes for each. */
static bool say_result(struct session *session, const char *id, const char *result) {
  static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":", middle[] = ",\"result\":";
  char *frame;
  size_t length = sizeof start - 1 + strlen(id) + sizeof middle - 1 + strlen(result) + 1;
  int count = asprintf(&frame, "Content-Length: %zu\r\n\r\n%s%s%s%s}", length, start, id, middle, result);
  if (count < 0)
    return false;
  say(session, frame, count);
  free(frame);
  return true;
}

static yajl_val value_in(yajl_val object, const char *name, yajl_type type) {
  return yajl_tree_get(object, (const char *[]){name, NULL}, type);
}

static const char *text_in(yajl_val object, const char *name) {
  yajl_val value = value_in(object, name, yajl_t_string);
  return value == NULL ? "" : YAJL_GET_STRING(value);
}

static bool has_text(yajl_val object, const char *name) {
  return value_in(object, name, yajl_t_string) != NULL;
}

static bool answer_hello(struct session *session, const char *id, yajl_val params) {
  const struct reading *hello = find_reading(&session->look, "hello");
  if (strcmp(text_in(params, "protocol"), hello->subject) != 0 || !has_text(params, "controllerVersion"))
    return false;
  session->is_greeted = true;
  return say_result(session, id, hello->payload);
}

static bool answer_list(struct session *session, const char *id, yajl_val params) {
  return YAJL_GET_OBJECT(params)->len == 0 && still_holds(&session->look, session->agent) &&
         say_result(session, id, find_reading(&session->look, "list")->payload);
}

/* A name that is a file's too, as agent/paths.ts has it. */
static bool is_plain_name(const char *fleet) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  size_t length = strlen(fleet);
  return length > 0 && length < 64 && isalnum((unsigned char)fleet[0]) && strspn(fleet, letters) == length;
}

/* As LockHolder of shared/container.ts. */
static bool is_holder(yajl_val holder) {
  yajl_val pid = value_in(holder, "pid", yajl_t_number);
  const char *since = text_in(holder, "since");
  return has_text(holder, "user") && has_text(holder, "host") && has_text(holder, "command") && pid != NULL &&
         YAJL_IS_INTEGER(pid) && strlen(since) == sizeof "2026-01-01T00:00:00.000Z" - 1 && since[10] == 'T' && since[23] == 'Z';
}

/* For who finds it held. */
static bool write_holder(const struct lock *lock, yajl_val holder) {
  static const char *const names[] = {"user", "host", "since", "command"};
  const unsigned char *text = NULL;
  size_t length = 0;
  yajl_val pid = value_in(holder, "pid", yajl_t_number);
  yajl_gen json = yajl_gen_alloc(NULL);
  if (json == NULL)
    return false;
  yajl_gen_map_open(json);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = text_in(holder, names[i]);
    yajl_gen_string(json, (const unsigned char *)names[i], strlen(names[i]));
    yajl_gen_string(json, (const unsigned char *)value, strlen(value));
  }
  yajl_gen_string(json, (const unsigned char *)"pid", 3);
  yajl_gen_number(json, YAJL_GET_NUMBER(pid), strlen(YAJL_GET_NUMBER(pid)));
  yajl_gen_map_close(json);
  yajl_gen_get_buf(json, &text, &length);
  bool is_written = length > 0 && ftruncate(lock->fd, 0) == 0 && write(lock->fd, text, length) == (ssize_t)length;
  yajl_gen_free(json);
  return is_written;
}

/* One that is held is told by the rest of the agent. */
static bool answer_lock(struct session *session, const char *id, yajl_val params) {
  struct failure ignored = {0};
  char name[80];
  const char *fleet = text_in(params, "fleet");
  yajl_val holder = value_in(params, "holder", yajl_t_object);
  if (holder == NULL)
    return false;
  if (session->lock.fd >= 0 || !is_plain_name(fleet) || !is_holder(holder))
    return false;
  snprintf(name, sizeof name, "fleet-%s", fleet);
  if (take_lock(&session->lock, session->call, name, 0, &ignored) < 0)
    return false;
  held = session->lock.path;
  if (!write_holder(&session->lock, holder)) {
    unlock(session);
    return false;
  }
  snprintf(session->fleet, sizeof session->fleet, "%s", fleet);
  return say_result(session, id, "{}");
}

static bool answer_unlock(struct session *session, const char *id, yajl_val params) {
  if (session->lock.fd < 0 || strcmp(text_in(params, "fleet"), session->fleet) != 0)
    return false;
  unlock(session);
  return say_result(session, id, "{}");
}

static const struct {
  const char *method;
  bool (*answer)(struct session *session, const char *id, yajl_val params);
} methods[] = {
    {"hello", answer_hello},
    {"fleet/lock", answer_lock},
    {"container/list", answer_list},
    {"fleet/unlock", answer_unlock},
};

static bool answer_request(struct session *session, yajl_val request) {
  const char *method = text_in(request, "method");
  yajl_val id = value_in(request, "id", yajl_t_number), params = value_in(request, "params", yajl_t_object);
  if (strcmp(method, "heartbeat") == 0 && value_in(request, "id", yajl_t_any) == NULL)
    return true;
  if (id == NULL || !YAJL_IS_INTEGER(id) || params == NULL || (!session->is_greeted && strcmp(method, "hello") != 0))
    return false;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (strcmp(method, methods[i].method) == 0)
      return methods[i].answer(session, YAJL_GET_NUMBER(id), params);
  return false;
}

/* False where the rest of the agent has to answer it. */
static bool answer(struct session *session, const char *body, size_t length) {
  char reason[128], *text = strndup(body, length);
  yajl_val request = NULL;
  /* yajl takes comments for JSON, and C the first NUL for a text's end. */
  bool is_plain = text != NULL && strlen(text) == length && strstr(text, "\\u0000") == NULL && strstr(text, "/*") == NULL &&
                  strstr(text, "//") == NULL;
  if (is_plain)
    request = yajl_tree_parse(text, reason, sizeof reason);
  bool is_answered = request != NULL && answer_request(session, request);
  yajl_tree_free(request);
  free(text);
  return is_answered;
}

enum frame { WHOLE, PART, NONE };

/* The frame with which `unread` begins, `Content-Length: N\r\n\r\n` and N bytes. */
static enum frame find_frame(size_t *header, size_t *length) {
  static const char name[] = "Content-Length: ";
  const size_t name_length = sizeof name - 1;
  char *end = memmem(unread, unread_length, "\r\n\r\n", 4), *digits_end;
  size_t known = unread_length < name_length ? unread_length : name_length;
  if (memcmp(unread, name, known) != 0)
    return NONE;
  if (end == NULL)
    return unread_length < 64 ? PART : NONE;
  *header = end + 4 - unread;
  *length = strtoul(unread + name_length, &digits_end, 10);
  if (digits_end != end || *length > sizeof unread - *header)
    return NONE;
  return *header + *length <= unread_length ? WHOLE : PART;
}

/* Answers what has come; false where the rest of the agent has to go on. */
static bool answer_all(struct session *session) {
  size_t header, length;
  while (unread_length > 0) {
    enum frame frame = find_frame(&header, &length);
    if (frame == PART)
      return true;
    if (frame == NONE || !answer(session, unread + header, length))
      return false;
    unread_length -= header + length;
    memmove(unread, unread + header + length, unread_length);
  }
  return true;
}

static void read_more(struct session *session) {
  int ready = poll(&(struct pollfd){0, POLLIN, 0}, 1, SILENCE_MS);
  if (ready == 0)
    end_session(session);
  ssize_t count = ready < 0 ? -1 : read(0, unread + unread_length, sizeof unread - unread_length);
  if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN))
    end_session(session);
  if (count > 0)
    unread_length += count;
}

/* The same command line in the words of agent/commands/serve-arguments.ts, with how far the session has come and the
   descriptors of what is not answered and of the lock that is held. */
static char **go_on(const struct session *session) {
  static char bytes[16], lock[96], *words[10] = {"serve", "--stdio"};
  size_t count = 2;
  const char *root = value_of(&session->call->line, "root");
  int fd = memfd_create("unread", 0);
  if (fd < 0 || write(fd, unread, unread_length) != (ssize_t)unread_length || lseek(fd, 0, SEEK_SET) < 0) {
    fprintf(stderr, "nexcage-agent: cannot go on with a session: %s\n", strerror(errno));
    _exit(1);
  }
  if (root != NULL) {
    words[count++] = "--root";
    words[count++] = (char *)root;
  }
  snprintf(bytes, sizeof bytes, "%d", fd);
  words[count++] = "--unread";
  words[count++] = bytes;
  if (session->is_greeted)
    words[count++] = "--greeted";
  if (session->lock.fd >= 0) {
    fcntl(session->lock.fd, F_SETFD, 0);
    snprintf(lock, sizeof lock, "%d:%s", session->lock.fd, session->fleet);
    words[count++] = "--lock";
    words[count++] = lock;
  }
  return words;
}

/* As agent/server/last-look.ts has it. */
static void name_agent(struct session *session, const char *library) {
  char locks[PATH_MAX];
  find_lock_folder(session->call, locks);
  snprintf(session->agent, sizeof session->agent, "%s:%s:%s:%s", library, session->call->run, session->call->lib, locks);
}

char **serve_last_look(const struct call_line *call, const char *library, char **arguments) {
  static struct session session;
  char path[PATH_MAX + 32];
  session = (struct session){.call = call, .lock = {.fd = -1}};
  name_agent(&session, library);
  snprintf(path, sizeof path, "%s/.last-look", call->run);
  if (!is_plain_serve(&call->line) || is_moved() || !read_last_look(path, &session.look) ||
      !still_holds(&session.look, session.agent))
    return arguments;
  await_signals();
  say(&session, mark, sizeof mark - 1);
  while (answer_all(&session))
    read_more(&session);
  return go_on(&session);
}
