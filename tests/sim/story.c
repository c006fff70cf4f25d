/* SPDX-License-Identifier: BSD-3-Clause */
#include "story.h"

#include <inttypes.h>
#include <string.h>

#include "payload.h"

enum { WORDS_MAX = 24 };

struct line {
    char text[200];
    char *word[WORDS_MAX];
    int count;
};

struct teller {
    struct history *h;
    uint64_t now_ns;
    uint16_t pieces; /* of the next frame */
};

static uint32_t number(const char *word)
{
    return (uint32_t)strtoul(word, NULL, 10);
}

static bool last_is(struct line *l, const char *word)
{
    if (l->count == 0 || strcmp(l->word[l->count - 1], word) != 0)
        return false;
    l->count--;
    return true;
}

static struct ring_id id_of(const char *word)
{
    struct ring_id id = { 0 };
    int matched = sscanf(word, "%" SCNu64 ".%u", &id.seq, &id.rep);
    INVARIANT(matched == 2);
    return id;
}

static uint64_t mask_of(const struct line *l, int from)
{
    uint64_t mask = 0;
    for (int i = from; i < l->count; i++)
        mask |= UINT64_C(1) << (number(l->word[i]) - 1);
    return mask;
}

static struct ring_id present_ring(const struct hist_life *life)
{
    struct ring_id id = { 0 };
    for (uint32_t i = 0; i < life->log.count; i++) {
        if (life->log.at[i].kind == RING_DELIVER_REGULAR)
            id = life->log.at[i].ring_id;
    }
    return id;
}

static void tell(struct teller *t, struct line *l)
{
    uint32_t life = number(l->word[1]);
    struct hist_delivery d = { .at_ns = t->now_ns, .safe = last_is(l, "safe") };
    if (strcmp(l->word[2], "frame") == 0) {
        d.kind = RING_DELIVER_FRAME;
        d.pieces = t->pieces;
        t->pieces = 0;
        d.seq = number(l->word[3]);
        d.sender = number(l->word[4]);
        d.content = number(l->word[5]);
        d.ring_id = l->count > 6 ? id_of(l->word[6]) : present_ring(&t->h->lives.at[life]);
    } else {
        bool regular = strcmp(l->word[2], "ring") == 0;
        d.kind = regular ? RING_DELIVER_REGULAR : RING_DELIVER_TRANSITIONAL;
        d.ring_id = id_of(l->word[3]);
        d.content = mask_of(l, 4);
    }
    history_delivery(t->h, life, &d);
}

static void submit(struct teller *t, const struct line *l)
{
    history_submitted(
        t->h, number(l->word[1]),
        &(struct hist_piece){
            .name = number(l->word[3]), .port = number(l->word[2]), .first = true, .last = true });
}

static void piece(struct teller *t, struct line *l)
{
    bool first = last_is(l, "first"), last = last_is(l, "last"), between = last_is(l, "between");
    history_piece(t->h, number(l->word[1]),
                  &(struct hist_piece){ .name = last || between ? 0 : number(l->word[3]),
                                        .port = number(l->word[2]),
                                        .first = !last && !between,
                                        .last = !first && !between });
    t->pieces++;
}

static void end(struct teller *t, const struct line *l)
{
    static const char *const ends[] = {
        [HIST_STAYS] = "stays",     [HIST_LEFT] = "left",       [HIST_DIED] = "died",
        [HIST_EVICTED] = "evicted", [HIST_STOPPED] = "stopped", [HIST_NODE_LOST] = "lost",
    };
    struct hist_member *m = &t->h->members.at[number(l->word[1])];
    m->until_ns = t->now_ns;
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
        if (strcmp(l->word[2], ends[i]) == 0)
            m->end = (enum hist_end)i;
    }
}

/* Members, then those who left, then those who joined. */
static void view(struct teller *t, struct line *l)
{
    _Alignas(8) uint8_t bytes[sizeof(struct chan_view) + WORDS_MAX * sizeof(struct chan_address)];
    struct chan_view *view = (struct chan_view *)(void *)bytes;
    uint32_t count = 0;
    memset(view, 0, sizeof(*view));
    view->flags = last_is(l, "own")   ? CHAN_VIEW_OWN_JOIN
                  : last_is(l, "bye") ? CHAN_VIEW_OWN_LEAVE
                                      : 0;
    for (const char *sign = "m-+"; *sign; sign++) {
        for (int i = 3; i < l->count; i++) {
            const char *word = l->word[i];
            char its = *word == '+' || *word == '-' ? *word : 'm';
            struct chan_address who = { 0 };
            if (its != *sign)
                continue;
            int matched =
                sscanf(word + (its != 'm'), "%u/%u.%u", &who.nodeid, &who.pid, &who.reason);
            INVARIANT(matched >= 2);
            view->entry[count++] = who;
            view->member_count += its == 'm';
            view->left_count += its == '-';
            view->joined_count += its == '+';
        }
    }
    history_view(t->h, number(l->word[1]), view, number(l->word[2]), t->now_ns);
}

static void ring(struct teller *t, struct line *l)
{
    _Alignas(8) uint8_t bytes[sizeof(struct chan_ring) + WORDS_MAX * sizeof(uint32_t)];
    struct chan_ring *ring = (struct chan_ring *)(void *)bytes;
    uint8_t flags = last_is(l, "first") ? HIST_FIRST_RING : 0;
    memset(ring, 0, sizeof(*ring));
    ring->ring_id = id_of(l->word[2]);
    for (int i = 3; i < l->count; i++)
        ring->member[ring->member_count++] = number(l->word[i]);
    history_ring(t->h, number(l->word[1]), ring, flags, t->now_ns);
}

static void hear(struct teller *t, struct line *l)
{
    bool is_short = last_is(l, "short");
    struct payload_name name;
    uint8_t bytes[PAYLOAD_NAME_BYTES] = { 0 };
    int matched = sscanf(l->word[2], "%u.%u", &name.member, &name.number);
    INVARIANT(matched == 2);
    const struct hist_member *m = &t->h->members.at[name.member];
    struct hist_event event = { .kind = HIST_MESSAGE,
                                .flags = is_short ? HIST_UNNAMED : 0,
                                .node = m->node,
                                .pid = m->pid,
                                .member = is_short ? HIST_NOBODY : name.member,
                                .number = is_short ? 0 : name.number,
                                .bytes = m->sent.count > name.number ? m->sent.at[name.number].bytes
                                         : is_short                  ? 5
                                                                     : 100,
                                .at_ns = t->now_ns };
    payload_write(bytes, name, min_u32(event.bytes, sizeof(bytes)));
    if (is_short) { /* its first bytes depend on its length */
        INVARIANT(event.bytes < PAYLOAD_NAME_BYTES);
        uint8_t whole[PAYLOAD_NAME_BYTES] = { 0 };
        payload_write(whole, name, event.bytes);
        memcpy(&event.start, whole, event.bytes);
    }
    history_message(t->h, number(l->word[1]), &event);
}

static void join(struct teller *t, const struct line *l)
{
    uint32_t handle = number(l->word[1]);
    history_member(t->h, &(struct hist_member){ .handle = handle,
                                                .node = t->h->handles.at[handle].node,
                                                .pid = number(l->word[2]),
                                                .group = number(l->word[3]),
                                                .since_ns = t->now_ns });
}

static void sends(struct teller *t, const struct line *l)
{
    uint32_t member = number(l->word[1]);
    const struct hist_handle *handle = &t->h->handles.at[t->h->members.at[member].handle];
    history_sent(t->h, member,
                 &(struct hist_sent){ .bytes = number(l->word[2]),
                                      .seen = handle->log.count,
                                      .guarantee = GUARANTEE_AGREED });
}

static void handle_comes(struct teller *t, const struct line *l)
{
    uint32_t life = number(l->word[1]);
    history_handle(t->h, &(struct hist_handle){ .node = t->h->lives.at[life].node,
                                                .life = life,
                                                .wants_rings = true,
                                                .wants_first = true,
                                                .since_ns = t->now_ns });
}

static void life_ends(struct teller *t, const struct line *l)
{
    uint32_t number_of = number(l->word[1]);
    struct hist_life *life = &t->h->lives.at[number_of];
    life->over = true;
    life->until_ns = t->now_ns;
    for (uint32_t i = 0; i < t->h->handles.count; i++)
        t->h->handles.at[i].ended |= t->h->handles.at[i].life == number_of;
}

static void say(struct teller *t, struct line *l)
{
    const char *verb = l->word[0];
    if (strcmp(verb, "life") == 0)
        history_life(t->h, number(l->word[1]), l->count > 2, t->now_ns);
    else if (strcmp(verb, "over") == 0)
        life_ends(t, l);
    else if (strcmp(verb, "tell") == 0)
        tell(t, l);
    else if (strcmp(verb, "submit") == 0)
        submit(t, l);
    else if (strcmp(verb, "piece") == 0)
        piece(t, l);
    else if (strcmp(verb, "handle") == 0)
        handle_comes(t, l);
    else if (strcmp(verb, "join") == 0)
        join(t, l);
    else if (strcmp(verb, "end") == 0)
        end(t, l);
    else if (strcmp(verb, "send") == 0)
        sends(t, l);
    else if (strcmp(verb, "view") == 0)
        view(t, l);
    else if (strcmp(verb, "ring") == 0)
        ring(t, l);
    else if (strcmp(verb, "hear") == 0)
        hear(t, l);
    else if (strcmp(verb, "calm") == 0)
        t->h->calm_until_ns = t->now_ns;
    else
        t->h->settled = true;
}

void story_read(struct history *h, const char *text)
{
    struct teller t = { .h = h, .now_ns = NS_PER_S };
    *h = (struct history){ 0 };
    while (*text) {
        struct line l = { 0 };
        size_t length = strcspn(text, "\n");
        INVARIANT(length < sizeof(l.text));
        memcpy(l.text, text, length);
        text += length + (text[length] == '\n');
        for (char *rest = l.text, *word; (word = strtok_r(rest, " ", &rest));) {
            INVARIANT(l.count < WORDS_MAX);
            l.word[l.count++] = word;
        }
        t.now_ns += NS_PER_MS;
        if (l.count > 0)
            say(&t, &l);
    }
}
