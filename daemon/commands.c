/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * commands.c - what the control thread asks of the core, and what the core tells it.
 */
#include "core_inner.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "corosync/corotypes.h"

const char *const core_offence_name[CORE_OFFENCES] = {
    [CORE_OFFENCE_NONE] = "none",
    [CORE_OFFENCE_SLOW] = "slow",
    [CORE_OFFENCE_SUBMIT_TAIL] = "submit tail",
    [CORE_OFFENCE_DONE_TAIL] = "done tail",
    [CORE_OFFENCE_EVENT_HEAD] = "event head",
    [CORE_OFFENCE_SUBMIT_SEGMENT] = "submit segment",
    [CORE_OFFENCE_SUBMIT_RANGE] = "submit range",
    [CORE_OFFENCE_SUBMIT_END] = "submit end",
    [CORE_OFFENCE_SUBMIT_SIZE] = "submit size",
    [CORE_OFFENCE_SUBMIT_FIELD] = "submit field",
    [CORE_OFFENCE_DONE_LEASE] = "done lease",
};

static void push(struct core *core, const struct core_event *event)
{
    *(struct core_event *)spsc_next(&core->events.producer) = *event;
    spsc_publish(&core->events.producer);
    core->events_new = true;
}

static void push_late(struct core *core)
{
    while (core->late_first && spsc_room(&core->events.producer) > 0) {
        struct late_event *late = core->late_first;
        push(core, &late->event);
        core->late_first = late->next;
        free(late);
    }
}

void core_post(void *context, const struct core_event *event)
{
    struct core *core = context;
    push_late(core);
    if (!core->late_first && spsc_room(&core->events.producer) > 0) {
        push(core, event);
        return;
    }
    struct late_event *late = malloc(sizeof(*late));
    INVARIANT(late); /* I3 */
    *late = (struct late_event){ .event = *event };
    if (core->late_first)
        core->late_last->next = late;
    else
        core->late_first = late;
    core->late_last = late;
}

static void answer(struct core *core, const struct core_command *command, uint32_t error,
                   uint32_t arg)
{
    core_post(core, &(struct core_event){ .type = CORE_EVENT_ANSWER,
                                          .slot = command->slot,
                                          .error = error,
                                          .arg = arg,
                                          .tag = command->tag });
}

/* Its bytes are doorbells: they wake us when we sleep. Who cannot ring is no client: the control
 * thread takes the channel of a refused one away at once. */
static uint32_t add_client(struct core *core, const struct core_client_setup *setup)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = setup->slot };
    if (core->epoll_fd >= 0 &&
        epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, setup->wake_socket, &event) != 0)
        return CS_ERR_NO_RESOURCES;
    uint32_t error = clients_add(&core->clients, setup);
    if (error != CS_OK && core->epoll_fd >= 0)
        (void)epoll_ctl(core->epoll_fd, EPOLL_CTL_DEL, setup->wake_socket, NULL);
    return error;
}

static void end_client(struct core *core, const struct core_command *command)
{
    const struct client *c = clients_find(&core->clients, command->slot);
    if (c && core->epoll_fd >= 0)
        (void)epoll_ctl(core->epoll_fd, EPOLL_CTL_DEL, c->setup.wake_socket, NULL);
    if (!clients_end(&core->clients, command->slot, command->tag))
        answer(core, command, CS_ERR_NOT_EXIST, 0);
}

static void iterate(struct core *core, const struct core_command *command)
{
    uint32_t count;
    int error = groups_iterate(&core->groups, command->arg, command->in.name, command->out.entries,
                               command->capacity, &count);
    answer(core, command, error ? CS_ERR_NO_MEMORY : CS_OK, count);
}

static void stop(struct core *core, const struct core_command *command)
{
    if (core->stopping) {
        answer(core, command, CS_ERR_EXIST, 0);
        return;
    }
    core->stopping = true;
    core->stop_tag = command->tag;
    core->stop_deadline_ns = core->now_ns + 2 * core->config->detect_ms * NS_PER_MS;
    clients_stop(&core->clients);
}

static void run(struct core *core, const struct core_command *command)
{
    struct clients *cs = &core->clients;
    switch ((enum core_command_type)command->type) {
    case CORE_CLIENT_ADD:
        answer(core, command, add_client(core, command->in.client), 0);
        break;
    case CORE_CLIENT_JOIN:
        answer(core, command, clients_join(cs, command->slot, command->pid, command->in.name), 0);
        break;
    case CORE_CLIENT_LEAVE:
        answer(core, command, clients_leave(cs, command->slot), 0);
        break;
    case CORE_CLIENT_END:
        end_client(core, command);
        break;
    case CORE_SEGMENT_ADD:
        answer(core, command, clients_segment_add(cs, command->in.segment), 0);
        break;
    case CORE_SEGMENT_END:
        answer(core, command, clients_segment_end(cs, command->slot, command->arg), 0);
        break;
    case CORE_SEGMENT_DENIED:
        core_segment_denied(core, command->slot);
        break;
    case CORE_MEMBERS:
        groups_members(&core->groups, command->in.name, command->out.members);
        answer(core, command, CS_OK, 0);
        break;
    case CORE_ITERATE:
        iterate(core, command);
        break;
    case CORE_PERSISTED:
        ring_persisted(core->ring, core->now_ns, command->arg64, &core->out);
        core_drain(core);
        answer(core, command, CS_OK, 0);
        break;
    case CORE_STATUS:
        core_status_fill(core, command->out.status);
        answer(core, command, CS_OK, 0);
        break;
    case CORE_CAPTURE_BEGIN:
        INVARIANT(!core->tape); /* K4 */
        core->tape = command->in.tape;
        answer(core, command, CS_OK, 0);
        break;
    case CORE_CAPTURE_END:
        core->tape = NULL;
        answer(core, command, CS_OK, 0);
        break;
    case CORE_STOP:
        stop(core, command);
        break;
    }
}

bool core_commands(struct core *core)
{
    bool some = false;
    push_late(core);
    while (core_may_call_ring(core) && spsc_waiting(&core->commands.consumer) > 0) {
        struct core_command command =
            *(const struct core_command *)spsc_take(&core->commands.consumer);
        spsc_release(&core->commands.consumer);
        run(core, &command);
        some = true;
    }
    return some;
}
