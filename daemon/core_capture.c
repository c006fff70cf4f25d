/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * core_capture.c - frames on their way between ring and transport, for somebody who watches.
 */
#include "core_inner.h"

static void capture(struct core *core, enum tape_direction direction, struct zcb *const *frames,
                    int count)
{
    tape_write(core->tape, core->now_ns, direction, frames, count);
    core->stats.frames_captured += (uint64_t)count;
}

__attribute__((noinline, cold)) void core_capture_received(struct core *core,
                                                           struct zcb *const *frames, int count)
{
    capture(core, TAPE_RECEIVED, frames, count);
}

/* How many of them go is known when they are the transport's: so they are held meanwhile. */
__attribute__((noinline, cold)) int core_capture_send(struct core *core, struct zcb **frames,
                                                      int count)
{
    for (int i = 0; i < count; i++)
        zcb_hold(frames[i], ZCB_HELD_OUT);
    int sent = transport_tx_burst(core->transport, frames, count);
    if (sent > 0)
        capture(core, TAPE_SENT, frames, sent);
    for (int i = 0; i < count; i++)
        zcb_drop(frames[i], ZCB_HELD_OUT);
    return sent;
}
