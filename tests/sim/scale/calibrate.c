/* SPDX-License-Identifier: BSD-3-Clause */
#include "calibrate.h"

#include "peer.h"

#include "ring/wire.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    INBOX = 8192,
    SAMPLES = 400000,
    BINS = 128,
    ENOUGH = 100, /* calls for a median */
    WALKS = 4096,
    SUBJECT = 1, /* index: neither representative nor last */
};

struct sample {
    uint32_t ns;
    uint16_t data, tokens, control, sends, delivered, freed, type;
};

struct inbox {
    struct packet *packet[INBOX];
    uint32_t head, tail;
};

/* Rings that hand each other their frames. */
struct loop {
    int count;
    uint64_t now_ns;
    struct packet_pool packets;
    struct peer *peer;
    struct inbox *inbox;
    struct sample *sample;
    uint32_t sample_count;
    bool timed;
    uint32_t clock_ns;                /* of reading the clock twice */
    uint32_t walk[WALKS], walk_count; /* hundredths of ns */
    volatile uint64_t sink;
};

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

uint32_t calibrate_median(uint32_t *value, uint32_t count)
{
    qsort(value, count, sizeof(value[0]), by_value);
    return count > 0 ? value[count / 2] : 0;
}

static uint32_t clock_cost(void)
{
    uint32_t value[4001];
    for (int i = 0; i < 4001; i++) {
        uint64_t start = clock_ns();
        value[i] = (uint32_t)(clock_ns() - start);
    }
    return calibrate_median(value, 4001);
}

static void send_out(struct loop *loop, int from, struct zcb *frame)
{
    struct packet *packet = packet_make(&loop->packets, frame);
    for (int i = 0; i < loop->count; i++) {
        bool all = frame->dest == ZCB_TO_ALL || frame->dest == ZCB_TO_RING;
        if (i == from || !(all || frame->dest == loop->peer[i].config.id))
            continue;
        struct inbox *in = &loop->inbox[i];
        INVARIANT(in->tail - in->head < INBOX);
        packet->refs++;
        in->packet[in->tail++ % INBOX] = packet;
    }
    packet_drop(&loop->packets, packet);
    zcb_drop(frame, ZCB_HELD_OUT);
}

static void walk_timed(struct loop *loop, const struct ring_delivery *delivery)
{
    enum { REPEATS = 100 };
    if (delivery->kind != RING_DELIVER_FRAME || loop->walk_count == WALKS)
        return;
    uint64_t start = clock_ns(), bytes = 0;
    for (int i = 0; i < REPEATS; i++) {
        struct ring_walk walk;
        struct ring_piece piece;
        ring_walk_start(&walk, delivery);
        while (ring_walk_next(&walk, &piece))
            bytes += piece.payload.bytes;
    }
    loop->sink += bytes;
    loop->walk[loop->walk_count++] = (uint32_t)((clock_ns() - start) * 100 / REPEATS);
}

/* Into the caches: the ring's own memory and what it is about to read. */
static void warm(struct loop *loop, struct peer *p, struct zcb **frames, int count)
{
    const struct ring_config config = { 0 };
    const uint8_t *at = p->memory;
    uint64_t sum = 0;
    for (size_t i = 0; i < ring_bytes(&config); i += CACHE_LINE_BYTES)
        sum += at[i];
    for (int i = 0; i < count; i++) {
        for (uint32_t b = 0; b < min_u32(frames[i]->head_bytes, PACKET_HEAD_BYTES); b += 64)
            sum += frames[i]->head[b];
    }
    loop->sink += sum;
}

static void sample_begin(struct sample *s, const struct peer *p, struct zcb **frames, int count)
{
    *s = (struct sample){ 0 };
    for (int i = 0; i < count; i++) {
        const struct wire_data *data = (const struct wire_data *)(const void *)frames[i]->head;
        s->type = data->head.type;
        s->data += s->type == WIRE_DATA || s->type == WIRE_RECOVERY;
        s->tokens += s->type == WIRE_TOKEN;
    }
    s->control = (uint16_t)(count - s->data - s->tokens);
    s->freed = (uint16_t)(p->rx_pool.held[ZCB_HELD_RING] + p->tx_pool.held[ZCB_HELD_RING]);
}

/* A burst that came, or none: the ring goes on. */
static void call(struct loop *loop, struct peer *p, struct zcb **frames, int count,
                 struct ring_out *out)
{
    if (count > 0)
        ring_recv(p->ring, loop->now_ns, frames, count, out);
    else
        ring_continue(p->ring, loop->now_ns, out);
}

static void call_timed(struct loop *loop, struct peer *p, struct zcb **frames, int count,
                       struct ring_out *out)
{
    struct sample s;
    sample_begin(&s, p, frames, count);
    warm(loop, p, frames, count);
    uint64_t start = clock_ns();
    call(loop, p, frames, count, out);
    uint64_t ns = clock_ns() - start;
    s.ns = (uint32_t)(ns > loop->clock_ns ? ns - loop->clock_ns : 0);
    s.sends = out->send_count;
    s.delivered = out->deliver_count;
    uint64_t held = p->rx_pool.held[ZCB_HELD_RING] + p->tx_pool.held[ZCB_HELD_RING];
    /* What was held, and came, and is not held now. */
    s.freed = (uint16_t)(s.freed + s.data - held);
    bool whole = s.sends < RING_OUT_MAX && s.delivered < RING_OUT_MAX;
    if (loop->sample_count < SAMPLES && whole)
        loop->sample[loop->sample_count++] = s;
}

static bool is_timed(const struct loop *loop, int index)
{
    return loop->timed && index == SUBJECT;
}

static void drain(struct loop *loop, int index, struct ring_out *out)
{
    struct peer *p = &loop->peer[index];
    for (;;) {
        for (int i = 0; i < out->send_count; i++)
            send_out(loop, index, out->send[i]);
        for (int i = 0; i < out->deliver_count; i++) {
            if (is_timed(loop, index))
                walk_timed(loop, &out->deliver[i]);
            peer_deliver(p, &out->deliver[i]);
        }
        uint64_t persist = out->persist_seq;
        bool again = peer_sync(p) || out->more;
        if (persist)
            ring_persisted(p->ring, loop->now_ns, persist, out);
        else if (again && is_timed(loop, index))
            call_timed(loop, p, NULL, 0, out);
        else if (again)
            call(loop, p, NULL, 0, out);
        else
            return;
    }
}

static bool turn(struct loop *loop, int index)
{
    static _Thread_local struct ring_out out;
    struct peer *p = &loop->peer[index];
    struct inbox *in = &loop->inbox[index];
    struct zcb *frames[RING_BURST];
    int count = 0;
    bool worked = in->head != in->tail;
    while (count < RING_BURST && in->head != in->tail) {
        struct packet *packet = in->packet[in->head % INBOX];
        bool token = packet_type(packet) == WIRE_TOKEN;
        if (count > 0 && token)
            break;
        struct zcb *frame = peer_take_in(p, packet);
        in->head++;
        INVARIANT(frame);
        frames[count++] = frame;
        packet_drop(&loop->packets, packet);
        if (token)
            break; /* a call of its own */
    }
    ring_rx_free(p->ring, p->rx_pool.free_count);
    if (count > 0 && is_timed(loop, index))
        call_timed(loop, p, frames, count, &out);
    else if (count > 0)
        call(loop, p, frames, count, &out);
    if (count > 0)
        drain(loop, index, &out);
    if (ring_deadline_ns(p->ring) <= loop->now_ns) {
        ring_expire(p->ring, loop->now_ns, &out);
        drain(loop, index, &out);
    }
    return worked;
}

static bool round_all(struct loop *loop)
{
    bool worked = false;
    for (int i = 0; i < loop->count; i++)
        worked |= turn(loop, i);
    loop->now_ns += worked ? NS_PER_US : 100 * NS_PER_US;
    return worked;
}

static bool formed(const struct loop *loop)
{
    for (int i = 0; i < loop->count; i++) {
        if (!loop->peer[i].gate || loop->peer[i].member_count != loop->count)
            return false;
    }
    return true;
}

static void loop_make(struct loop *loop, int count, uint32_t window, uint32_t personal, bool timed)
{
    loop->count = count;
    loop->now_ns = NS_PER_S;
    loop->packets = (struct packet_pool){ 0 };
    loop->clock_ns = clock_cost();
    loop->peer = calloc((size_t)count, sizeof(loop->peer[0]));
    loop->inbox = calloc((size_t)count, sizeof(loop->inbox[0]));
    loop->timed = timed;
    for (int i = 0; i < count; i++) {
        struct peer_config config = {
            .id = (uint32_t)i + 1,
            .nodes = count,
            .frame_bytes_max = 1472,
            .rx_frames = 4096,
            .tx_frames = 2048,
            .window_frames = window,
            .personal_frames = personal,
            .detect_ns = NS_PER_S,
            .incarnation = 1,
        };
        peer_start(&loop->peer[i], &config, loop->now_ns);
    }
    while (!formed(loop))
        round_all(loop);
    loop->timed = true;
}

static void loop_free(struct loop *loop)
{
    for (int i = 0; i < loop->count; i++) {
        for (struct inbox *in = &loop->inbox[i]; in->head != in->tail; in->head++)
            packet_drop(&loop->packets, in->packet[in->head % INBOX]);
        peer_stop(&loop->peer[i]);
    }
    packet_pool_free(&loop->packets);
    free(loop->peer);
    free(loop->inbox);
}

struct line calibrate_line(const double *x, const double *y, int points)
{
    double sum_x = 0, sum_y = 0, sum_xx = 0, sum_xy = 0;
    struct line line = { 0 };
    for (int i = 0; i < points; i++) {
        sum_x += x[i];
        sum_y += y[i];
        sum_xx += x[i] * x[i];
        sum_xy += x[i] * y[i];
    }
    double spread = points * sum_xx - sum_x * sum_x;
    if (spread > 0)
        line.slope = (points * sum_xy - sum_x * sum_y) / spread;
    line.at_zero = points > 0 ? (sum_y - line.slope * sum_x) / points : 0;
    return line;
}

/* The median of the calls that `choose` gives an x, at each x; then a line through them. */
typedef int (*choose_fn)(const struct sample *s); /* x, or -1: not this one */

static struct line fit(struct loop *loop, const char *what, choose_fn choose)
{
    static uint32_t value[SAMPLES];
    double xs[BINS], ys[BINS];
    int points = 0;
    for (int x = 0; x < BINS; x++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < loop->sample_count; i++) {
            if (choose(&loop->sample[i]) == x)
                value[count++] = loop->sample[i].ns;
        }
        if (count < ENOUGH)
            continue;
        xs[points] = x;
        ys[points++] = calibrate_median(value, count);
        fprintf(stderr, "  %s, %d: %.0f ns (%u calls)\n", what, x, ys[points - 1], count);
    }
    struct line line = calibrate_line(xs, ys, points);
    fprintf(stderr, "%s: %.1f + %.2f x\n", what, line.at_zero, line.slope);
    return line;
}

static int data_only(const struct sample *s)
{
    return s->tokens == 0 && s->control == 0 && s->data > 0 && s->sends == 0 ? s->data : -1;
}

static int only_let_go(const struct sample *s)
{
    return s->type == 0 && s->sends == 0 && s->delivered == 0 && s->freed > 0 ? s->freed : -1;
}

static int token_sends(const struct sample *s)
{
    return s->tokens == 1 && s->control == 0 && s->data == 0 ? s->sends - 1 : -1;
}

static int token_idle(const struct sample *s)
{
    bool idle = s->tokens == 1 && s->control == 0 && s->data == 0 && s->sends == 1;
    return idle && s->delivered == 0 && s->freed == 0 ? 0 : -1;
}

/* Frames of one kind come several in a call: the median of what one of them takes. */
static double each(struct loop *loop, enum wire_type type)
{
    static uint32_t value[SAMPLES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < loop->sample_count; i++) {
        const struct sample *s = &loop->sample[i];
        if (s->type == type && s->control > 0 && s->data == 0 && s->tokens == 0 && s->sends == 0)
            value[count++] = s->ns * 10 / s->control;
    }
    return calibrate_median(value, count) / 10.0;
}

/* One node floods with messages of `bytes`; `burst` frames a visit. */
static void flood(struct loop *loop, int sender, uint32_t bytes, uint32_t burst, int rounds)
{
    loop_make(loop, 2, 1024, burst, false);
    for (int i = 0; i < rounds; i++) {
        static _Thread_local struct ring_out out;
        struct peer *p = &loop->peer[sender];
        uint32_t per_frame = min_u32(RING_CHUNKS_MAX, 1360 / (uint32_t)(align_up(bytes, 8) + 8));
        for (uint32_t m = 0; m < burst * per_frame && peer_submit(p, bytes, 2); m++)
            continue;
        ring_continue(p->ring, loop->now_ns, &out);
        drain(loop, sender, &out);
        round_all(loop);
    }
}

static struct line receive_line(struct loop *loop, uint32_t bytes, const char *what)
{
    loop->sample_count = 0;
    for (uint32_t burst = 1; burst <= 64; burst *= 2) {
        flood(loop, 0, bytes, burst, 3000);
        loop_free(loop);
    }
    return fit(loop, what, data_only);
}

static void measure_data(struct loop *loop, struct costs *c)
{
    struct line one = receive_line(loop, 1300, "receive data of 1 message");
    struct line let_go = fit(loop, "let go", only_let_go);
    struct line twenty = receive_line(loop, 56, "receive data of 21 messages");
    c->chunk = (twenty.slope - one.slope) / 20;
    c->data = one.slope - c->chunk;
    c->call = one.at_zero;
    c->let_go = let_go.slope;
}

static void measure_sends(struct loop *loop, struct costs *c)
{
    loop->sample_count = 0;
    for (uint32_t burst = 1; burst <= 32; burst *= 2) {
        flood(loop, SUBJECT, 1300, burst, 3000);
        loop_free(loop);
    }
    c->send = fit(loop, "token with sends", token_sends).slope;
}

static const double member_counts[] = { 2, 8, 32, 64, 128 };
enum { COUNTS = ARRAY_COUNT(member_counts) };

static void measure_members(struct loop *loop, struct costs *c)
{
    double token[COUNTS], join[COUNTS];
    for (int i = 0; i < COUNTS; i++) {
        int n = (int)member_counts[i];
        loop->sample_count = 0;
        for (int again = 0; again < 1 + 256 / n; again++) {
            loop_make(loop, n, 0, 0, true);
            loop_free(loop);
        }
        join[i] = each(loop, WIRE_JOIN);
        loop_make(loop, n, 0, 0, true);
        loop->sample_count = 0;
        for (int r = 0; r < 2000; r++)
            round_all(loop);
        loop_free(loop);
        token[i] = fit(loop, "idle token", token_idle).at_zero;
        fprintf(stderr, "%d members: token %.0f ns, JOIN %.0f ns\n", n, token[i], join[i]);
    }
    struct line t = calibrate_line(member_counts, token, COUNTS),
                j = calibrate_line(member_counts, join, COUNTS);
    c->token = t.at_zero - c->call;
    c->token_member = t.slope;
    c->join = j.at_zero;
    c->join_member = j.slope;
}

/* Walks through what was delivered: a received frame of `messages`. */
static double walk_ns(struct loop *loop, uint32_t bytes)
{
    loop->walk_count = 0;
    flood(loop, 0, bytes, 8, 200);
    loop_free(loop);
    return calibrate_median(loop->walk, loop->walk_count) / 100.0;
}

static void measure_walk(struct loop *loop, struct costs *c)
{
    double one = walk_ns(loop, 1300), twenty_one = walk_ns(loop, 56);
    c->walk_chunk = (twenty_one - one) / 20;
    c->walk = one - c->walk_chunk;
    fprintf(stderr, "walk: %.2f ns of one message, %.2f ns of 21\n", one, twenty_one);
}

void calibrate(struct costs *costs)
{
    struct loop loop = { .sample = malloc(SAMPLES * sizeof(struct sample)) };
    INVARIANT(loop.sample);
    measure_data(&loop, costs);
    measure_sends(&loop, costs);
    measure_walk(&loop, costs);
    measure_members(&loop, costs);
    free(loop.sample);
    calibrate_core(costs, clock_cost());
}
