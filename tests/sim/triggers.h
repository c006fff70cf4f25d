/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_SIM_TRIGGERS_H
#define TESTS_SIM_TRIGGERS_H

/*
 * triggers.h - steps that wait for the worst moment: somebody commits, or recovers, or has
 * installed a ring that others have not.
 */
#include "world.h"

enum trigger {
    TRIGGER_TIME, /* none: its time is enough */
    TRIGGER_COMMIT,
    TRIGGER_RECOVERY,
    TRIGGER_RECEIVED, /* somebody owes what it received, and has no new ring yet */
    TRIGGER_INSTALL,  /* a ring is operational here, and another member is not yet there */
    TRIGGER_EXCHANGE, /* members are being exchanged */
    TRIGGERS,
};
extern const char *const trigger_name[TRIGGERS];

enum { ARMED_MAX = 64 };

struct triggers {
    struct {
        enum trigger trigger;
        uint32_t step;
        uint64_t lag_ns, until_ns;
        uint64_t at_ns; /* NS_NEVER: what it waits for has not come */
    } armed[ARMED_MAX];
    uint32_t count;
};

/* Wait for it until then; it comes to be `lag_ns` after that. */
void trigger_arm(struct triggers *t, enum trigger trigger, uint32_t step, uint64_t lag_ns,
                 uint64_t until_ns);
/* Look at the world. */
void triggers_look(struct triggers *t, const struct world *w);
/* The next step whose moment has come; false: none. */
bool trigger_take(struct triggers *t, uint64_t now_ns, uint32_t *step);
uint64_t triggers_next_ns(const struct triggers *t);

#endif
