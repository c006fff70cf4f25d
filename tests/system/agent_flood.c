/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FLOOD_BURST = 64, TELL_EVERY = 16 };

/* HANDLE GUARANTEE BYTES LABEL COUNT [FIRST]; BYTES may be rN: sizes drawn from those up to N */
void flood_start(struct agent_handle *h, const char *id, int argc, char **argv)
{
    struct flood *f = &h->flood;
    if (f->active) {
        say_answer(h->agent, id, -4);
        return;
    }
    *f = (struct flood){ .active = true, .random_size = argv[1][0] == 'r' };
    snprintf(f->id, sizeof(f->id), "%s", id);
    snprintf(f->label, sizeof(f->label), "%s", argv[2]);
    f->guarantee = atoi(argv[0]);
    f->bytes = strtoull(argv[1] + f->random_size, NULL, 0);
    f->count = strtoull(argv[3], NULL, 0);
    f->first = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
    f->payload = malloc(f->bytes + LABEL_BYTES);
    for (const char *c = argv[2]; *c; c++)
        f->draw = f->draw * 31 + (uint8_t)*c;
    if (!f->payload)
        abort();
}

static void fill_next(struct flood *f)
{
    char label[LABEL_BYTES + 24];
    snprintf(label, sizeof(label), "%s:%" PRIu64, f->label, f->first + f->sent);
    f->payload_bytes = f->bytes;
    if (f->random_size) {
        f->draw = f->draw * 1664525u + 1013904223u;
        f->payload_bytes = LABEL_BYTES + (f->bytes ? (f->draw >> 8) % f->bytes : 0);
    }
    message_fill(f->payload, f->payload_bytes, label);
    f->filled = true;
}

/* What was accepted so far: a test that kills us counts on no more than this. */
static void tell(struct agent_handle *h)
{
    struct flood *f = &h->flood;
    say(h->agent, "{\"e\":\"sent\",\"h\":\"%s\",\"count\":%" PRIu64 "}\n", h->name, f->sent);
    f->told = f->sent;
}

bool flood_go_on(struct agent_handle *h)
{
    struct flood *f = &h->flood;
    unsigned burst = h->pace ? h->pace : FLOOD_BURST;
    for (unsigned i = 0; i < burst && f->sent < f->count; i++) {
        if (!f->filled)
            fill_next(f);
        struct iovec iov = { f->payload, f->payload_bytes };
        cs_error_t error = cpg_mcast_joined(h->handle, (cpg_guarantee_t)f->guarantee, &iov, 1);
        if (error == CS_ERR_TRY_AGAIN || error == CS_ERR_INTERRUPT)
            return false;
        if (error != CS_OK) {
            flood_end(h, (int)error);
            return true;
        }
        f->filled = false;
        f->sent++;
        if (f->sent >= f->told + TELL_EVERY)
            tell(h);
    }
    if (f->sent == f->count)
        flood_end(h, CS_OK);
    return h->pace == 0;
}

void flood_end(struct agent_handle *h, int result)
{
    struct flood *f = &h->flood;
    if (!f->active)
        return;
    say(h->agent, "{\"a\":%s,\"r\":%d,\"sent\":%" PRIu64 "}\n", f->id, result, f->sent);
    f->active = false;
    free(f->payload);
    f->payload = NULL;
}
