#ifndef DURATION_H
#define DURATION_H

#include <stdbool.h>

bool parse_duration(const char *text, double *seconds);

#endif
