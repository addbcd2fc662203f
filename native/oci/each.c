/* One container, or with --regex each one whose id matches. */
#define _GNU_SOURCE
#include "oci.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

int for_each(const struct call_line *call,
             int (*act)(const struct call_line *call, const char *id, struct failure *failure), struct failure *failure) {
  regex_t pattern;
  libcrun_container_list_t *list = NULL;
  libcrun_error_t error = NULL;
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
  if (libcrun_get_containers_list(&list, call->root, &error) < 0) {
    if (error == NULL || error->status != ENOENT)
      fail_crun(failure, &error);
    libcrun_error_release(&error);
  }
  for (libcrun_container_list_t *one = list; one != NULL; one = one->next) {
    struct failure own = {0};
    if (one->name[0] == '.' || regexec(&pattern, one->name, 0, NULL, 0) != 0 || act(call, one->name, &own) >= 0)
      continue;
    if (first.result == 0)
      first = own;
  }
  libcrun_free_containers_list(list);
  regfree(&pattern);
  if (first.result < 0)
    *failure = first;
  return failure->result;
}
