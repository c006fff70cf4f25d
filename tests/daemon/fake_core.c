/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_core.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "corosync/corotypes.h"

const char *const core_offence_name[CORE_OFFENCES] = {
    "none", "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "o10",
};

void fake_core_init(struct core *core)
{
    memset(core, 0, sizeof(*core));
    core->held_type = UINT32_MAX; /* none */
    pthread_mutex_init(&core->lock, NULL);
    pthread_cond_init(&core->changed, NULL);
    core->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void fake_core_free(struct core *core)
{
    close(core->event_fd);
}

static void say(struct core *core, const struct core_event *event)
{
    const uint64_t one = 1;
    INVARIANT(core->event_tail - core->event_head < FAKE_EVENTS);
    core->events[core->event_tail++ % FAKE_EVENTS] = *event;
    INVARIANT(write(core->event_fd, &one, sizeof(one)) == sizeof(one));
}

void fake_say(struct core *core, const struct core_event *event)
{
    pthread_mutex_lock(&core->lock);
    say(core, event);
    pthread_mutex_unlock(&core->lock);
}

static void answer(struct core *core, const struct core_command *command, uint32_t error,
                   uint32_t arg)
{
    struct core_event event = {
        .type = CORE_EVENT_ANSWER, .tag = command->tag, .error = error, .arg = arg
    };
    say(core, &event);
}

void fake_answer(struct core *core, const struct core_command *command, uint32_t error,
                 uint32_t arg)
{
    pthread_mutex_lock(&core->lock);
    if (command->type != CORE_SEGMENT_DENIED)
        answer(core, command, error, arg);
    pthread_mutex_unlock(&core->lock);
}

void fake_hold(struct core *core, uint32_t type)
{
    pthread_mutex_lock(&core->lock);
    core->held_type = type;
    pthread_mutex_unlock(&core->lock);
}

void fake_set_full(struct core *core, bool full)
{
    pthread_mutex_lock(&core->lock);
    core->full = full;
    pthread_mutex_unlock(&core->lock);
}

static void fill_entries(struct core *core, const struct core_command *command)
{
    for (uint32_t i = 0; i < core->entry_count && i < command->capacity; i++) {
        struct ctl_iteration_entry *e = &command->out.entries[i];
        memset(e, 0, sizeof(*e));
        e->name_bytes = (uint32_t)sprintf((char *)e->name, "group%u", i / 2);
        e->nodeid = 1;
        e->pid = i;
    }
}

static void fill_status(struct core_status *s)
{
    memset(s, 0, sizeof(*s));
    s->ring.member_count = 1;
    s->ring_members[0] = 1;
    s->private_bytes = 1000000;
    s->client_count = 1;
}

static void segment_gone(struct core *core, uint32_t slot, uint32_t index)
{
    struct core_event gone = { .type = CORE_EVENT_SEGMENT_GONE,
                               .arg = core->segment_arena[slot][index] };
    core->segment_arena[slot][index] = 0;
    say(core, &gone);
}

/* What a core would do, as far as the control thread can see it. */
static void obey(struct core *core, const struct core_command *command)
{
    uint32_t error = CS_OK, arg = 0;
    if (command->type == CORE_CLIENT_ADD) {
        core->client[command->in.client->slot] = *command->in.client;
        error = core->error ? core->error : CS_OK;
    } else if (command->type == CORE_CLIENT_JOIN) {
        core->group = *command->in.name;
    } else if (command->type == CORE_SEGMENT_ADD) {
        const struct core_segment_setup *s = command->in.segment;
        error = core->error ? core->error : CS_OK;
        core->segment_key = s->arena.key;
        if (error == CS_OK)
            core->segment_arena[s->client_slot][s->index] = s->arena.id;
    } else if (command->type == CORE_MEMBERS) {
        command->out.members->count = 1;
        command->out.members->entry[0] = (struct chan_address){ 1, 77, 0 };
    } else if (command->type == CORE_ITERATE) {
        arg = core->entry_count;
        fill_entries(core, command);
    } else if (command->type == CORE_STATUS) {
        fill_status(command->out.status);
    }
    if (command->type != CORE_SEGMENT_DENIED)
        answer(core, command, error, arg);
    if (command->type == CORE_SEGMENT_END)
        segment_gone(core, command->slot, command->arg);
    for (uint32_t i = 0; command->type == CORE_CLIENT_END && i < CHAN_SEGMENT_COUNT; i++)
        if (core->segment_arena[command->slot][i])
            segment_gone(core, command->slot, i);
}

int core_command(struct core *core, const struct core_command *command)
{
    pthread_mutex_lock(&core->lock);
    bool full = core->full;
    if (!full) {
        core->commands[core->command_count++ % FAKE_COMMANDS] = *command;
        if (core->held_type != command->type)
            obey(core, command);
        pthread_cond_broadcast(&core->changed);
    }
    pthread_mutex_unlock(&core->lock);
    return full ? -EAGAIN : 0;
}

int core_memory_add(struct core *core, struct zcb_arena *arena, char *why, size_t why_bytes)
{
    pthread_mutex_lock(&core->lock);
    bool full = core->memory_full;
    arena->key = full ? 0 : 1000 + arena->id;
    core->memory_count += !full;
    pthread_mutex_unlock(&core->lock);
    snprintf(why, why_bytes, "the card has no room for more");
    return full ? -ENOSPC : 0;
}

/* While it is mapped, and all of it is there. */
void core_memory_drop(struct core *core, struct zcb_arena *arena)
{
    struct stat st;
    INVARIANT(fstat(arena->fd, &st) == 0 && (uint64_t)st.st_blocks * 512 == arena->bytes);
    pthread_mutex_lock(&core->lock);
    core->memory_count -= arena->key != 0;
    pthread_mutex_unlock(&core->lock);
}

bool core_event(struct core *core, struct core_event *event)
{
    uint64_t count;
    pthread_mutex_lock(&core->lock);
    bool any = core->event_head != core->event_tail;
    if (any)
        *event = core->events[core->event_head++ % FAKE_EVENTS];
    else
        (void)!read(core->event_fd, &count, sizeof(count));
    pthread_mutex_unlock(&core->lock);
    return any;
}

int core_event_fd(const struct core *core)
{
    return core->event_fd;
}

static int count_locked(const struct core *core, uint32_t type, int *last)
{
    int count = 0;
    for (int i = 0; i < core->command_count && i < FAKE_COMMANDS; i++) {
        if (core->commands[i].type == type) {
            count++;
            *last = i;
        }
    }
    return count;
}

int fake_count(struct core *core, uint32_t type)
{
    int last;
    pthread_mutex_lock(&core->lock);
    int count = count_locked(core, type, &last);
    pthread_mutex_unlock(&core->lock);
    return count;
}

struct core_command fake_wait(struct core *core, uint32_t type, int count)
{
    int last = 0, failed = 0;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&core->lock);
    while (count_locked(core, type, &last) < count && !failed)
        failed = pthread_cond_timedwait(&core->changed, &core->lock, &until);
    struct core_command command = core->commands[last];
    pthread_mutex_unlock(&core->lock);
    INVARIANT(!failed);
    return command;
}

bool core_is_pinned(const struct core *core)
{
    (void)core;
    return false;
}

const struct transport_caps *core_transport_caps(const struct core *core)
{
    static const struct transport_caps caps = { .sleep_fd = -1, .woken_by = "clock" };
    (void)core;
    return &caps;
}
