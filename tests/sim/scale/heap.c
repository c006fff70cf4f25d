/* SPDX-License-Identifier: BSD-3-Clause */
#include "fabric.h"

/* What happens next: a heap by time, then by order of making. */

static bool earlier(const struct event *a, const struct event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->number < b->number;
}

void event_add(struct fabric *f, struct event event)
{
    if (f->event_count == f->event_capacity) {
        f->event_capacity = f->event_capacity ? 2 * f->event_capacity : 4096;
        f->event = realloc(f->event, f->event_capacity * sizeof(event));
        INVARIANT(f->event);
    }
    event.number = f->event_number++;
    uint32_t i = f->event_count++;
    for (; i > 0 && earlier(&event, &f->event[(i - 1) / 2]); i = (i - 1) / 2)
        f->event[i] = f->event[(i - 1) / 2];
    f->event[i] = event;
}

struct event event_take(struct fabric *f)
{
    struct event first = f->event[0];
    struct event last = f->event[--f->event_count];
    uint32_t i = 0;
    for (uint32_t child = 1; child < f->event_count; child = 2 * i + 1) {
        if (child + 1 < f->event_count && earlier(&f->event[child + 1], &f->event[child]))
            child++;
        if (!earlier(&f->event[child], &last))
            break;
        f->event[i] = f->event[child];
        i = child;
    }
    if (f->event_count > 0)
        f->event[i] = last;
    return first;
}
