/* Made by `npm run reference` from agent/commands/table.ts. */
#ifndef COMMAND_TABLE_H
#define COMMAND_TABLE_H

#include "line.h"

static const struct option global_options[] = {
    {"root", "", true},
    {"config", "", true},
    {"log-level", "", true},
    {"log-format", "", true},
    {"lock-timeout", "", true},
    {"output", "o", true},
    {"log", "", true},
    {"debug", "", false},
    {"systemd-cgroup", "", false},
    {"cgroup-manager", "", true},
    {"rootless", "", true},
    {"help", "h", false},
    {"version", "vV", false},
    {NULL, NULL, false},
};

static const struct option create_options[] = {
    {"name", "", true},
    {"bundle", "b", true},
    {"image", "", true},
    {"runtime", "", true},
    {"config", "f", true},
    {"pid-file", "", true},
    {"console-socket", "", true},
    {"preserve-fds", "", true},
    {"no-pivot", "", false},
    {"no-new-keyring", "", false},
    {"no-subreaper", "", false},
    {NULL, NULL, false},
};

static const struct option run_options[] = {
    {"name", "", true},
    {"bundle", "b", true},
    {"image", "", true},
    {"runtime", "", true},
    {"config", "f", true},
    {"pid-file", "", true},
    {"console-socket", "", true},
    {"preserve-fds", "", true},
    {"no-pivot", "", false},
    {"no-new-keyring", "", false},
    {"no-subreaper", "", false},
    {"detach", "d", false},
    {"keep", "", false},
    {NULL, NULL, false},
};

static const struct option start_options[] = {
    {"name", "", true},
    {NULL, NULL, false},
};

static const struct option state_options[] = {
    {"name", "", true},
    {"regex", "r", false},
    {"all", "a", false},
    {NULL, NULL, false},
};

static const struct option ps_options[] = {
    {"name", "", true},
    {"format", "f", true},
    {NULL, NULL, false},
};

static const struct option kill_options[] = {
    {"name", "", true},
    {"regex", "r", false},
    {"signal", "s", true},
    {"all", "a", false},
    {NULL, NULL, false},
};

static const struct option pause_options[] = {
    {"name", "", true},
    {NULL, NULL, false},
};

static const struct option resume_options[] = {
    {"name", "", true},
    {NULL, NULL, false},
};

static const struct option update_options[] = {
    {"name", "", true},
    {"resources", "r", true},
    {"memory", "", true},
    {"memory-swap", "", true},
    {"memory-reservation", "", true},
    {"kernel-memory", "", true},
    {"kernel-memory-tcp", "", true},
    {"cpu-period", "", true},
    {"cpu-quota", "", true},
    {"cpu-share", "", true},
    {"cpu-rt-period", "", true},
    {"cpu-rt-runtime", "", true},
    {"cpuset-cpus", "", true},
    {"cpuset-mems", "", true},
    {"pids-limit", "", true},
    {"blkio-weight", "", true},
    {"l3-cache-schema", "", true},
    {"mem-bw-schema", "", true},
    {NULL, NULL, false},
};

static const struct option delete_options[] = {
    {"name", "", true},
    {"regex", "r", false},
    {"force", "f", false},
    {NULL, NULL, false},
};

static const struct option exec_options[] = {
    {"process", "p", true},
    {"detach", "d", false},
    {"console-socket", "", true},
    {"pid-file", "", true},
    {"preserve-fds", "", true},
    {"cap", "c", true},
    {"cgroup", "", true},
    {"no-new-privs", "", false},
    {"apparmor", "", true},
    {"process-label", "", true},
    {"ignore-paused", "", false},
    {"additional-gids", "g", true},
    {"tty", "t", false},
    {"env", "e", true},
    {"user", "u", true},
    {"workdir", "w", true},
    {"cwd", "", true},
    {NULL, NULL, false},
};

static const struct option events_options[] = {
    {"name", "", true},
    {"stats", "", false},
    {"interval", "", true},
    {NULL, NULL, false},
};

static const struct option spec_options[] = {
    {"bundle", "b", true},
    {"file", "f", true},
    {"rootless", "", false},
    {NULL, NULL, false},
};

static const struct option serve_options[] = {
    {"stdio", "", false},
    {NULL, NULL, false},
};

static const struct command commands[] = {
    {"create", create_options},
    {"run", run_options},
    {"start", start_options},
    {"state", state_options},
    {"ps", ps_options},
    {"kill", kill_options},
    {"pause", pause_options},
    {"resume", resume_options},
    {"update", update_options},
    {"delete", delete_options},
    {"exec", exec_options},
    {"events", events_options},
    {"spec", spec_options},
    {"serve", serve_options},
    {NULL, NULL},
};

#endif
