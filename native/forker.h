/* What the files of nexcage-forker share: the works, each done in a child that then ends. */
#ifndef FORKER_H
#define FORKER_H

#include "internal.h"
#include "overlay.h"
#include "watch.h"

/* 0, or a negative errno with the reason in `answer`. */
int run_start(const struct call *call, struct answer *answer);
int run_kill(const struct call *call, struct answer *answer);
int run_delete(const struct call *call, struct answer *answer);
int run_pause(const struct call *call, struct answer *answer);
int run_resume(const struct call *call, struct answer *answer);
int run_update(const struct call *call, struct answer *answer);
int run_try_overlay(const struct call *call, struct answer *answer);
int run_create(const struct call *call, struct answer *answer);
int run_attach(const struct call *call, struct answer *answer);
int run_exec(const struct call *call, struct answer *answer);

/* forker.c */
/* The call has succeeded, and this process goes on by itself: its time limit is over. */
void answer_and_stay(struct answer *answer);

/* create.c */
struct watch watch_of(const struct call *call);

/* bundle.c */
int load_bundle(const char *path, libcrun_container_t **container, struct failure *failure);
bool is_capability(const char *name);
/* A word that is none is a failure here; the specification only wants a warning, and OCI clients rely on that. */
int check_capabilities(const runtime_spec_schema_config_schema_process *process, struct failure *failure);
int check_dev(const char *rootfs, struct failure *failure);

/* cgroup.c */
void remove_cgroup(const char *cgroups_path, bool kill_first);

#endif
