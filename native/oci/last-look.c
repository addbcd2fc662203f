#define _GNU_SOURCE
#include "last-look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { MOST_BYTES = 64 * 1024 * 1024 };

/* As agent/state/files.ts takes it for nothing there. */
static bool is_nothing(int error) {
  return error == ENOENT || error == ENOTDIR || error == ESRCH;
}

static bool is(const struct reading *reading, const char *text) {
  return reading->length == (ssize_t)strlen(text) && memcmp(reading->payload, text, reading->length) == 0;
}

static bool reads_text(const struct reading *reading) {
  char chunk[16 * 1024];
  ssize_t at = 0, count;
  int fd = open(reading->subject, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0)
    return reading->length < 0 && is_nothing(errno);
  bool is_same = reading->length >= 0;
  while ((count = read(fd, chunk, sizeof chunk)) > 0 && is_same) {
    is_same = count <= reading->length - at && memcmp(chunk, reading->payload + at, count) == 0;
    at += count;
  }
  if (count < 0)
    is_same = reading->length < 0 && is_nothing(errno);
  else if (is_same)
    is_same = at == reading->length;
  close(fd);
  return is_same;
}

struct list {
  char **words;
  size_t count, room;
};

static bool add(struct list *list, const char *word, size_t length) {
  if (list->count == list->room) {
    size_t room = 2 * list->room + 16;
    char **words = reallocarray(list->words, room, sizeof *words);
    if (words == NULL)
      return false;
    list->words = words;
    list->room = room;
  }
  list->words[list->count] = strndup(word, length);
  return list->words[list->count] != NULL && ++list->count > 0;
}

static int by_word(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether they are, sorted and each once, the lines of the reading's payload. Frees them. */
static bool is_list(const struct reading *reading, struct list *list, bool is_whole) {
  ssize_t at = 0;
  if (list->count > 0)
    qsort(list->words, list->count, sizeof *list->words, by_word);
  for (size_t i = 0; i < list->count; i++) {
    const char *word = list->words[i];
    ssize_t length = strlen(word);
    if (i > 0 && strcmp(word, list->words[i - 1]) == 0)
      continue;
    is_whole = is_whole && length < reading->length - at && memcmp(reading->payload + at, word, length) == 0 &&
               reading->payload[at + length] == '\n';
    at += length + 1;
  }
  for (size_t i = 0; i < list->count; i++)
    free(list->words[i]);
  free(list->words);
  return is_whole && at == reading->length;
}

static bool reads_names(const struct reading *reading) {
  struct list list = {0};
  struct dirent *entry;
  DIR *folder = opendir(reading->subject);
  if (folder == NULL)
    return reading->length == 0 && is_nothing(errno);
  bool is_whole = true;
  while (is_whole && (entry = readdir(folder)) != NULL)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      is_whole = add(&list, entry->d_name, strlen(entry->d_name));
  closedir(folder);
  return is_list(reading, &list, is_whole);
}

/* The subject is the words and the path. */
static bool reads_lines(const struct reading *reading) {
  struct list list = {0};
  char *line = NULL;
  size_t room = 0;
  ssize_t length;
  const char *path = strchr(reading->subject, ' ');
  FILE *file = path == NULL ? NULL : fopen(path + 1, "re");
  if (file == NULL)
    return reading->length == 0 && is_nothing(errno);
  bool is_whole = true;
  while (is_whole && (length = getline(&line, &room, file)) >= 0) {
    char *end = memmem(line, length, reading->subject, path - reading->subject);
    if (end != NULL)
      is_whole = add(&list, end, line + length - end - (line[length - 1] == '\n' ? 1 : 0));
  }
  is_whole = is_whole && !ferror(file);
  fclose(file);
  free(line);
  return is_list(reading, &list, is_whole);
}

/* The subject is a number of bytes and the path. */
static bool reads_room(const struct reading *reading) {
  struct stat file = {0};
  char *path;
  long long bytes = strtoll(reading->subject, &path, 10);
  if (*path != ' ' || (stat(path + 1, &file) < 0 && !is_nothing(errno)))
    return false;
  return ((long long)file.st_blocks * 512 <= bytes) == (reading->length == 0);
}

static bool reads_path(const struct reading *reading) {
  return (access(reading->subject, F_OK) == 0) == (reading->length == 0);
}

/* As agent/state/process.ts has it. */
static bool reads_process(const struct reading *reading) {
  char path[64], text[1024], now[256];
  snprintf(path, sizeof path, "/proc/%.20s/stat", reading->subject);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  int error = errno;
  if (fd >= 0)
    close(fd);
  if (length < 0)
    return reading->length < 0 && is_nothing(error);
  text[length] = '\0';
  char *name = strchr(text, '('), *end = strrchr(text, ')'), state;
  int parent;
  unsigned long long start;
  static const char fields[] = ") %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu";
  if (name == NULL || end == NULL || sscanf(end, fields, &state, &parent, &start) != 3)
    return false;
  snprintf(now, sizeof now, "%s %d %llu %.*s", state == 'Z' || state == 'X' ? "ended" : "alive", parent, start,
           (int)(end - name - 1), name + 1);
  return is(reading, now);
}

static bool reads_system(const struct reading *reading) {
  struct utsname system;
  return uname(&system) == 0 && strcmp(system.nodename, reading->subject) == 0 && is(reading, system.release);
}

static bool is_answer(const struct reading *reading) {
  return reading->length >= 0;
}

static const struct {
  const char *kind;
  bool (*holds)(const struct reading *reading);
} kinds[] = {
    {"text", reads_text},   {"names", reads_names},   {"path", reads_path}, {"process", reads_process}, {"lines", reads_lines},
    {"room", reads_room},   {"system", reads_system}, {"hello", is_answer}, {"list", is_answer},
};

static bool holds(const struct reading *reading, const char *agent) {
  if (strcmp(reading->kind, "agent") == 0)
    return strcmp(reading->subject, agent) == 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(reading->kind, kinds[i].kind) == 0)
      return kinds[i].holds(reading);
  return false;
}

bool still_holds(const struct last_look *look, const char *agent) {
  for (size_t i = 0; i < look->count; i++)
    if (!holds(&look->readings[i], agent))
      return false;
  return true;
}

const struct reading *find_reading(const struct last_look *look, const char *kind) {
  for (size_t i = 0; i < look->count; i++)
    if (strcmp(look->readings[i].kind, kind) == 0)
      return &look->readings[i];
  return NULL;
}

/* Takes the reading at `at`, `KIND LENGTH SUBJECT\nPAYLOAD\n`, apart; where the next one begins, or NULL. */
static char *take_reading(char *at, char *end, struct reading *reading) {
  char *line_end = memchr(at, '\n', end - at), *length, *subject;
  if (line_end == NULL)
    return NULL;
  *line_end = '\0';
  length = strchr(at, ' ');
  subject = length == NULL ? NULL : strchr(length + 1, ' ');
  if (subject == NULL)
    return NULL;
  *length++ = '\0';
  *subject++ = '\0';
  *reading = (struct reading){at, subject, line_end + 1, strtol(length, NULL, 10)};
  if (end == reading->payload || reading->length >= end - reading->payload)
    return NULL;
  char *payload_end = line_end + 1 + (reading->length > 0 ? reading->length : 0);
  if (*payload_end != '\n')
    return NULL;
  *payload_end = '\0';
  return payload_end + 1;
}

static bool take_apart(char *text, size_t length, struct last_look *look) {
  size_t room = 0;
  *look = (struct last_look){0};
  for (char *at = text, *end = text + length; at < end;) {
    if (look->count == room) {
      room = room == 0 ? 256 : 2 * room;
      look->readings = reallocarray(look->readings, room, sizeof *look->readings);
      if (look->readings == NULL)
        return false;
    }
    at = take_reading(at, end, &look->readings[look->count++]);
    if (at == NULL)
      return false;
  }
  return find_reading(look, "agent") != NULL && find_reading(look, "system") != NULL && find_reading(look, "hello") != NULL &&
         find_reading(look, "list") != NULL;
}

/* Only who answers here may have written it. */
bool read_last_look(const char *path, struct last_look *look) {
  struct stat file;
  char *text = NULL;
  ssize_t at = 0, count = -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0)
    return false;
  if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_uid == geteuid() && (file.st_mode & 022) == 0 &&
      file.st_size < MOST_BYTES && (text = malloc(file.st_size + 1)) != NULL)
    while ((count = read(fd, text + at, file.st_size - at)) > 0)
      at += count;
  close(fd);
  return count == 0 && take_apart(text, at, look);
}
