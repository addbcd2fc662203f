/* A command line: the words of one command, read by the table that yargs, the manual and completion have too. */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>

struct option {
  const char *name;
  const char *letters; /* its short forms */
  bool takes_value;
};

struct command {
  const char *name;
  const struct option *options; /* the last one has no name */
};

struct given {
  const struct option *option;
  const char *value; /* NULL for a switch; "false" is `--switch=false` */
};

struct line {
  const struct command *command; /* NULL for one that is not in the table */
  const char *word;              /* the command as it was typed, NULL for none */
  struct given *given;
  size_t given_count, global_count; /* the global ones come first */
  char **operands;                  /* of `argv`, ended by NULL */
  size_t operand_count;
  const char *unknown;  /* an option that is not in the table, or one without its value */
  bool lacks_value;     /* that is why */
};

/* `arguments` ends with NULL; its words are kept, and `line->operands` and `line->given` are the caller's to free. An exec's options end
   with the container's id: what follows is its own. False when memory is out. */
bool read_line(struct line *line, char **arguments);

/* The last value that was given; NULL for none. A switch that is given has the value "". */
const char *value_of(const struct line *line, const char *name);
bool is_given(const struct line *line, const char *name);
/* Of those after the command, and before it. */
const char *own_value_of(const struct line *line, const char *name);
const char *global_value_of(const struct line *line, const char *name);

/* The two that are called --config: this host's settings, and a file in place of the bundle's config.json. */
const char *settings_of(const struct line *line);
const char *bundle_config_of(const struct line *line);

#endif
