/* "5s", "500ms", "1m", "2h"; a number alone is seconds. */
#include "duration.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *unit;
  double seconds;
} units[] = {{"ms", 0.001}, {"s", 1}, {"", 1}, {"m", 60}, {"h", 3600}};

bool parse_duration(const char *text, double *seconds) {
  char *end;
  double value = strtod(text, &end);
  if (!isdigit((unsigned char)text[0]))
    return false;
  for (size_t i = 0; i < sizeof units / sizeof *units; i++)
    if (strcmp(end, units[i].unit) == 0) {
      *seconds = value * units[i].seconds;
      return true;
    }
  return false;
}
