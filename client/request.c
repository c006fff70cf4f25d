/* SPDX-License-Identifier: BSD-3-Clause */
#include "request.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

cs_error_t request_error(int error)
{
    switch (-error) {
    case 0:
        return CS_OK;
    case ENOMEM:
        return CS_ERR_NO_MEMORY;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
        return CS_ERR_NO_RESOURCES;
    case EACCES:
    case EPERM:
        return CS_ERR_ACCESS;
    default:
        return CS_ERR_LIBRARY;
    }
}

/* The kernel may drop descriptors for which the process has no room: the packet is then truncated
 * but was answered. */
static cs_error_t take_answer(struct handle *h, enum ctl_type type, struct ctl_answer *answer,
                              int *fds, int *fd_count)
{
    int room = *fd_count;
    memset(answer, 0, sizeof(*answer));
    int got = ctl_recv(h->control.fd, answer, sizeof(*answer), fds, fd_count, NULL);
    if (got == -EPROTO && room > 0)
        return CS_ERR_NO_RESOURCES;
    if (got < (int)offsetof(struct ctl_answer, hello) || answer->magic != CTL_MAGIC ||
        answer->type != type) {
        handle_lose(h);
        return CS_ERR_LIBRARY;
    }
    return (cs_error_t)answer->error;
}

static void close_all(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static cs_error_t exchange(struct handle *h, struct ctl_request *question,
                           struct ctl_answer *answer, int *fds, int *fd_count)
{
    question->magic = CTL_MAGIC;
    question->version = CTL_VERSION;
    if (ctl_send(h->control.fd, question, sizeof(*question), NULL, 0) < 0) {
        handle_lose(h);
        *fd_count = 0;
        return CS_ERR_LIBRARY;
    }
    cs_error_t error = take_answer(h, question->type, answer, fds, fd_count);
    if (error != CS_OK) {
        close_all(fds, *fd_count);
        *fd_count = 0;
    }
    return error;
}

static cs_error_t request_fds(struct handle *h, struct ctl_request *question,
                              struct ctl_answer *answer, int *fds, int *fd_count)
{
    int before;
    cs_error_t error = CS_ERR_LIBRARY;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before); /* Q2 */
    pthread_mutex_lock(&h->request_lock);
    if (!gate_enter(&h->control)) {
        *fd_count = 0;
        error = CS_ERR_BAD_HANDLE;
    } else {
        if (atomic_load_explicit(&h->lost, memory_order_acquire))
            *fd_count = 0;
        else
            error = exchange(h, question, answer, fds, fd_count);
        gate_leave(&h->control);
    }
    pthread_mutex_unlock(&h->request_lock);
    pthread_setcancelstate(before, NULL);
    return error;
}

cs_error_t request(struct handle *h, struct ctl_request *question, struct ctl_answer *answer,
                   int *fd)
{
    int got = -1;
    int count = fd ? 1 : 0;
    cs_error_t error = request_fds(h, question, answer, &got, &count);
    if (fd)
        *fd = count ? got : -1;
    return error;
}

cs_error_t request_plain(struct handle *h, enum ctl_type type, uint32_t arg)
{
    struct ctl_request question = { .type = (uint16_t)type, .arg = arg };
    struct ctl_answer answer;
    return request(h, &question, &answer, NULL);
}

void request_set_name(struct ctl_request *question, const struct cpg_name *name)
{
    question->name_bytes = name->length;
    memcpy(question->name, name->value, name->length);
}

cs_error_t request_hello(struct handle *h, uint32_t flags, struct ctl_answer *answer, int *fds,
                         int *fd_count)
{
    struct ctl_request question = { .type = CTL_HELLO, .arg = flags };
    return request_fds(h, &question, answer, fds, fd_count);
}

/* Waits for a question that is under way: Q3 needs an order between the two. */
void request_kick(struct handle *h)
{
    int before;
    struct ctl_request kick = { .magic = CTL_MAGIC, .version = CTL_VERSION, .type = CTL_KICK };
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&h->request_lock);
    bool finalized = atomic_load_explicit(&h->finalized, memory_order_relaxed);
    if (!finalized && ctl_send(h->control.fd, &kick, sizeof(kick), NULL, 0) < 0)
        handle_lose(h);
    pthread_mutex_unlock(&h->request_lock);
    pthread_setcancelstate(before, NULL);
}
