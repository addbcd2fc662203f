/* One container, or with --regex each one whose id matches. */
#define _GNU_SOURCE
#include "oci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One of this door's, and not while it is being made. */
static bool is_ours(const struct call_line *call, DIR *folder, const char *id) {
  char path[300];
  snprintf(path, sizeof path, "%s/status", id);
  return faccessat(dirfd(folder), path, F_OK, 0) == 0 && !has_record(call, id);
}

int for_each(const struct call_line *call,
             int (*act)(const struct call_line *call, const char *id, struct failure *failure), struct failure *failure) {
  regex_t pattern;
  struct failure first = {0};
  bool all = strcmp(call->line.word, "state") == 0 && is_given(&call->line, "all");
  if (!all && !is_given(&call->line, "regex"))
    return act(call, call->id, failure);
  const char *words = all ? "" : call->id;
  if (words == NULL)
    return fail(failure, EINVAL, "refused", "--regex: %s needs a pattern", call->line.word);
  int wrong = regcomp(&pattern, words, REG_EXTENDED | REG_NOSUB);
  if (wrong != 0) {
    char reason[128];
    regerror(wrong, &pattern, reason, sizeof reason);
    return fail(failure, EINVAL, "refused", "--regex \"%.100s\": %s", words, reason);
  }
  DIR *folder = opendir(call->root);
  struct dirent *entry;
  while (folder != NULL && (entry = readdir(folder)) != NULL) {
    struct failure own = {0};
    if (entry->d_name[0] != '.' && regexec(&pattern, entry->d_name, 0, NULL, 0) == 0 && is_ours(call, folder, entry->d_name) &&
        act(call, entry->d_name, &own) < 0 && first.result == 0)
      first = own;
  }
  if (folder != NULL)
    closedir(folder);
  regfree(&pattern);
  if (first.result < 0)
    *failure = first;
  return failure->result;
}
