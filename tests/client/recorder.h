/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_CLIENT_RECORDER_H
#define TESTS_CLIENT_RECORDER_H

/*
 * recorder.h - a handle whose callbacks write down what they are told, and may do something on the
 * way. The recorder is the handle's context.
 */

#include <corosync/cpg.h>
#include <stdbool.h>

enum { RECORDS_MAX = 4096, RECORD_TEXT = 64 };

enum recorded_kind { RECORDED_MESSAGE = 1, RECORDED_VIEW, RECORDED_RING };

struct recorded {
    enum recorded_kind kind;
    struct cpg_name group;
    uint32_t nodeid, pid;
    size_t bytes;
    char text[RECORD_TEXT]; /* the message's beginning, NUL-terminated */
    size_t members, left, joined;
    struct cpg_address first_left, first_joined; /* read even of empty lists */
    struct cpg_ring_id ring;
};

struct recorder {
    cpg_handle_t handle;
    int count;
    struct recorded seen[RECORDS_MAX];
    /* Called at the end of each callback. */
    void (*then)(struct recorder *r, const struct recorded *event, void *msg);
    void *argument;
};

/* Open, with all three callbacks. */
cs_error_t recorder_open(struct recorder *r, unsigned flags);
/* Open, join, and dispatch the own view. */
void recorder_join(struct recorder *r, const char *group);

struct cpg_name name_of(const char *text);
cs_error_t send_text(cpg_handle_t handle, const char *text);

/* poll() of the handle's descriptor: revents, waiting so long at most. */
short readiness(cpg_handle_t handle, int timeout_ms);

/* Whether a condition comes true within some seconds. */
bool comes_true(bool (*condition)(void *), void *argument);

#endif
