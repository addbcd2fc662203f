#include "line.h"

#include "command-table.h"

#include <stdlib.h>
#include <string.h>

static const struct option *find_long(const struct option *options, const char *name, size_t length) {
  for (; options->name != NULL; options++)
    if (strlen(options->name) == length && strncmp(options->name, name, length) == 0)
      return options;
  return NULL;
}

static const struct option *find_short(const struct option *options, char letter) {
  for (; options->name != NULL; options++)
    if (letter != '\0' && strchr(options->letters, letter) != NULL)
      return options;
  return NULL;
}

/* A command's own options hide the global ones of the same name. */
static const struct option *find_option(const struct line *line, const char *word, size_t length) {
  const struct option *own = line->command == NULL ? NULL : line->command->options, *found = NULL;
  bool is_long = length > 2;
  if (own != NULL)
    found = is_long ? find_long(own, word + 2, length - 2) : find_short(own, word[1]);
  if (found == NULL)
    found = is_long ? find_long(global_options, word + 2, length - 2) : find_short(global_options, word[1]);
  return found;
}

static void give(struct line *line, const struct option *option, const char *value) {
  line->given[line->given_count++] = (struct given){option, value};
}

/* Takes `word` for unknown, and with it the rest of the line. */
static size_t refuse_option(struct line *line, const char *word, bool lacks_value) {
  line->unknown = word;
  line->lacks_value = lacks_value;
  return 1;
}

/* `--name`, `--name=VALUE`, `--name VALUE`. How many words it took. */
static size_t read_long(struct line *line, char **words) {
  char *equals = strchr(words[0], '=');
  size_t length = equals == NULL ? strlen(words[0]) : (size_t)(equals - words[0]);
  const struct option *option = find_option(line, words[0], length);
  if (option == NULL)
    return refuse_option(line, words[0], false);
  if (equals == NULL && option->takes_value && words[1] == NULL)
    return refuse_option(line, words[0], true);
  bool is_next = equals == NULL && option->takes_value;
  give(line, option, is_next ? words[1] : equals == NULL ? NULL : equals + 1);
  return is_next ? 2 : 1;
}

/* `-n`, `-nm`, `-n VALUE`, `-nVALUE`, `-n=VALUE`. How many words it took. */
static size_t read_short(struct line *line, char **words) {
  for (char *letter = words[0] + 1; *letter != '\0'; letter++) {
    const struct option *option = find_option(line, letter - 1, 2);
    if (option == NULL)
      return refuse_option(line, words[0], false);
    if (!option->takes_value) {
      give(line, option, NULL);
      continue;
    }
    if (letter[1] == '\0' && words[1] == NULL)
      return refuse_option(line, words[0], true);
    give(line, option, letter[1] == '\0' ? words[1] : letter + (letter[1] == '=' ? 2 : 1));
    return letter[1] == '\0' ? 2 : 1;
  }
  return 1;
}

static void take_command(struct line *line, const char *word) {
  line->word = word;
  line->global_count = line->given_count;
  for (const struct command *command = commands; command->name != NULL; command++)
    if (strcmp(command->name, word) == 0)
      line->command = command;
}

bool read_line(struct line *line, char **arguments) {
  size_t count = 0, letters = 0; /* each letter of a word may be an option */
  bool has_options = true;
  *line = (struct line){0};
  for (; arguments[count] != NULL; count++)
    letters += strlen(arguments[count]);
  line->operands = calloc(count + 1, sizeof *line->operands);
  line->given = calloc(letters + 1, sizeof *line->given);
  if (line->operands == NULL || line->given == NULL)
    return false;
  for (char **words = arguments; *words != NULL && line->unknown == NULL;) {
    char *word = *words;
    if (has_options && strcmp(word, "--") == 0 && line->word != NULL) {
      has_options = false;
      words++;
    } else if (has_options && word[0] == '-' && word[1] != '\0') {
      words += word[1] == '-' ? read_long(line, words) : read_short(line, words);
    } else if (line->word == NULL) {
      take_command(line, word);
      words++;
      if (line->command == NULL)
        break; /* its options are not ours to read */
    } else {
      line->operands[line->operand_count++] = word;
      words++;
      if (strcmp(line->word, "exec") != 0 || !has_options)
        continue;
      has_options = false;
      if (*words != NULL && strcmp(*words, "--") == 0)
        words++;
    }
  }
  if (line->word == NULL)
    line->global_count = line->given_count;
  return true;
}

static const char *find_given(const struct line *line, const char *name, size_t from, size_t to) {
  for (size_t i = to; i-- > from;)
    if (strcmp(line->given[i].option->name, name) == 0)
      return line->given[i].value == NULL ? "" : line->given[i].value;
  return NULL;
}

const char *value_of(const struct line *line, const char *name) {
  return find_given(line, name, 0, line->given_count);
}

bool is_given(const struct line *line, const char *name) {
  const char *value = value_of(line, name);
  return value != NULL && strcmp(value, "false") != 0;
}

const char *own_value_of(const struct line *line, const char *name) {
  return find_given(line, name, line->global_count, line->given_count);
}

const char *global_value_of(const struct line *line, const char *name) {
  return find_given(line, name, 0, line->global_count);
}

static bool is_yaml(const char *path) {
  const char *end = path == NULL ? NULL : strrchr(path, '.');
  return end != NULL && (strcmp(end, ".yaml") == 0 || strcmp(end, ".yml") == 0);
}

const char *settings_of(const struct line *line) {
  const char *own = own_value_of(line, "config");
  return is_yaml(own) ? own : global_value_of(line, "config");
}

const char *bundle_config_of(const struct line *line) {
  const char *own = own_value_of(line, "config");
  return is_yaml(own) ? NULL : own;
}
