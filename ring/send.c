/* SPDX-License-Identifier: BSD-3-Clause */
#include "internal.h"

#include <string.h>

/*
 * What goes out waits in a queue, so that one call's output may be full without anybody's noticing.
 * Control frames are built here; without a free frame they are not sent, and the timer that
 * guards each of them tries again.
 */

uint32_t send_room(const struct ring *r)
{
    uint32_t room = SENDS_MAX - (r->send_tail - r->send_head);
    return room > SENDS_CONTROL ? room - SENDS_CONTROL : 0;
}

/* Queue one frame; the queue holds it for the caller of the door. Full: the frame counts as lost.
 */
void send_frame(struct ring *r, struct zcb *frame, uint32_t dest)
{
    if (r->left || r->send_tail - r->send_head == SENDS_MAX)
        return;
    frame->dest = dest;
    zcb_hold(frame, ZCB_HELD_OUT);
    r->send[r->send_tail++ % SENDS_MAX] = frame;
}

void send_flush(struct ring *r)
{
    struct ring_out *out = r->out;
    while (r->send_head != r->send_tail && out->send_count < RING_OUT_MAX) {
        struct zcb *frame = r->send[r->send_head++ % SENDS_MAX];
        r->stats.bytes_sent += frame->head_bytes + frame->payload_bytes;
        out->send[out->send_count++] = frame;
    }
}

/*
 * Members of the ring, where the caller knows them already: it learns of a new configuration when
 * that is delivered, and recovery frames go before.
 */
uint32_t send_dest(const struct ring *r, const struct zcb *frame)
{
    bool settled = r->state == RING_OPERATIONAL && r->install.phase == INSTALL_NONE;
    return settled && frame_data(frame)->head.type == WIRE_DATA ? ZCB_TO_RING : ZCB_TO_ALL;
}

static struct zcb *control(struct ring *r, enum wire_type type, struct ring_id id, uint32_t bytes)
{
    struct zcb *frame = zcb_get(r->config.tx_pool, ZCB_HELD_RING);
    if (frame)
        wire_control_head(frame, type, r->config.cluster_tag, r->config.node_id, id, bytes);
    return frame;
}

static bool control_send(struct ring *r, struct zcb *frame, uint32_t dest)
{
    send_frame(r, frame, dest);
    zcb_drop(frame, ZCB_HELD_RING);
    return true;
}

bool send_token(struct ring *r)
{
    const struct token *t = &r->token;
    struct zcb *frame = control(r, WIRE_TOKEN, r->my_ring.id, wire_token_bytes(t->rtr_count));
    if (!frame)
        return false;
    struct wire_token *wire = (struct wire_token *)(void *)frame->head;
    wire->token_seq = t->token_seq;
    wire->seq = t->seq;
    wire->aru = t->aru;
    wire->aru_id = t->aru_id;
    wire->seq_owner = t->seq_owner;
    wire->fcc = t->fcc;
    wire->backlog = t->backlog;
    wire->free_min = t->free_min;
    wire->free_next = t->free_next;
    wire->bulk_owner = t->bulk_owner;
    wire->quiet = t->quiet;
    wire->flags = t->flags;
    wire->rtr_count = t->rtr_count;
    memcpy(wire->rtr, t->rtr, t->rtr_count * sizeof(t->rtr[0]));
    return control_send(r, frame, configuration_next(&r->my_ring, r->config.node_id));
}

static uint16_t put_ids(const struct ring *r, uint32_t *id, struct node_set set)
{
    uint16_t count = 0;
    SET_EACH(i, set)
    id[count++] = ring_id_of(r, i);
    return count;
}

/*
 * Departure: who waits too long for its disk keeps silent, so that the others form a ring without
 * it; together they could form none. When it can be written it speaks again.
 */
static bool send_join_of(struct ring *r, uint16_t flags, uint32_t dest, struct node_set proc,
                         struct node_set fail)
{
    if (ring_seq_late(r) && !(flags & WIRE_LEAVING))
        return false;
    uint32_t bytes = wire_join_bytes((uint32_t)set_count(proc), (uint32_t)set_count(fail));
    /* While we commit this repeats what we said before, which is older than the new ring. */
    uint64_t seq =
        r->state == RING_COMMIT ? r->gather.join_ring_seq[r->my_index] : r->ring_seq_mine;
    bool has_ring = r->my_ring.id.seq > 0;
    struct ring_id id = { .seq = seq, .rep = has_ring ? r->my_ring.id.rep : NODE_NONE };
    struct zcb *frame = control(r, WIRE_JOIN, id, bytes);
    if (!frame)
        return false;
    struct wire_join *wire = (struct wire_join *)(void *)frame->head;
    wire->proc_count = put_ids(r, wire->id, proc);
    wire->fail_count = put_ids(r, wire->id + wire->proc_count, fail);
    wire->version_low = WIRE_VERSION_LOW;
    wire->version_high = WIRE_VERSION_HIGH;
    wire->flags = flags;
    wire->frame_bytes_max = r->config.frame_bytes_max;
    wire->zero = 0;
    wire->incarnation = r->config.incarnation;
    return control_send(r, frame, dest);
}

bool send_join(struct ring *r, uint16_t flags, uint32_t dest)
{
    struct node_set fail = r->gather.my_fail_set;
    return send_join_of(r, flags, dest, set_minus(r->gather.my_proc_set, fail), fail);
}

bool send_refusal(struct ring *r, uint32_t dest)
{
    return send_join_of(r, 0, dest, set_of(r->my_index), (struct node_set){ { 0 } });
}

bool send_commit(struct ring *r)
{
    const struct configuration *c = &r->my_new_ring;
    struct zcb *frame = control(r, WIRE_COMMIT, c->id, wire_commit_bytes((uint32_t)c->count));
    if (!frame)
        return false;
    struct wire_commit *wire = (struct wire_commit *)(void *)frame->head;
    wire->token_seq = r->commit_hop;
    wire->member_count = (uint32_t)c->count;
    wire->zero = 0;
    memcpy(wire->id, c->member, (size_t)c->count * sizeof(c->member[0]));
    return control_send(r, frame, configuration_next(c, r->config.node_id));
}

bool send_beacon(struct ring *r)
{
    if (ring_seq_late(r))
        return false;
    struct zcb *frame = control(r, WIRE_BEACON, r->my_ring.id, sizeof(struct wire_beacon));
    if (!frame)
        return false;
    struct wire_beacon *wire = (struct wire_beacon *)(void *)frame->head;
    wire->member_count = (uint32_t)r->my_ring.count;
    wire->zero = 0;
    return control_send(r, frame, ZCB_TO_ALL);
}

bool send_want(struct ring *r)
{
    struct zcb *frame = control(r, WIRE_WANT, r->my_ring.id, sizeof(struct wire_want));
    if (!frame)
        return false;
    struct wire_want *wire = (struct wire_want *)(void *)frame->head;
    wire->token_seq = r->my_token_seq;
    wire->backlog = pack_backlog(&r->pack);
    wire->zero = 0;
    return control_send(r, frame, r->install.phase == INSTALL_NONE ? ZCB_TO_RING : ZCB_TO_ALL);
}

bool send_park(struct ring *r)
{
    struct zcb *frame = control(r, WIRE_PARK, r->my_ring.id, sizeof(struct wire_park));
    if (!frame)
        return false;
    struct wire_park *wire = (struct wire_park *)(void *)frame->head;
    wire->token_seq = r->token.token_seq;
    wire->seq = r->token.seq;
    wire->aru = r->token.aru;
    return control_send(r, frame, r->install.phase == INSTALL_NONE ? ZCB_TO_RING : ZCB_TO_ALL);
}
