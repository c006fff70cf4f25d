/* SPDX-License-Identifier: BSD-3-Clause */
#include "iterate.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "request.h"

struct iteration {
    struct handle *h; /* in use by the iteration: it has acquired it */
    cpg_iteration_handle_t value;
    struct iteration *next, *previous; /* in the handle's list, under its iterate_lock */
    bool listed;
    uint32_t count;
    _Atomic uint32_t at;
    struct ctl_iteration_entry entry[];
};

static void iteration_destroy(void *object)
{
    struct iteration *it = object;
    handle_release(it->h);
    free(it);
}

static struct table iteration_table = { .kind = 2, .destroy = iteration_destroy };

static bool read_all(int fd, void *to, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t got = pread(fd, (uint8_t *)to + done, bytes - done, (off_t)done);
        if (got > 0)
            done += (size_t)got;
        else if (got == 0 || errno != EINTR)
            return false;
    }
    return true;
}

/* Reading, not mapping, needs no trust in the size of the file. */
static cs_error_t read_snapshot(const struct ctl_answer *answer, int fd, struct iteration **out)
{
    size_t bytes = (size_t)answer->arg * sizeof(struct ctl_iteration_entry);
    struct iteration *it = malloc(sizeof(*it) + bytes);
    if (!it)
        return CS_ERR_NO_MEMORY;
    *it = (struct iteration){ .count = answer->arg };
    if (bytes > 0 && !read_all(fd, it->entry, bytes)) {
        free(it);
        return CS_ERR_LIBRARY;
    }
    *out = it;
    return CS_OK;
}

static cs_error_t ask(struct handle *h, cpg_iteration_type_t type, const struct cpg_name *group,
                      struct iteration **out)
{
    struct ctl_request question = { .type = CTL_ITERATE, .arg = type };
    struct ctl_answer answer;
    int fd;
    if (group)
        request_set_name(&question, group);
    cs_error_t error = request(h, &question, &answer, &fd);
    if (error == CS_OK)
        error = read_snapshot(&answer, fd, out);
    if (fd >= 0)
        close(fd);
    return error;
}

static void list_add(struct handle *h, struct iteration *it)
{
    it->next = h->iterations;
    if (it->next)
        it->next->previous = it;
    h->iterations = it;
    it->listed = true;
}

static void list_remove(struct handle *h, struct iteration *it)
{
    if (!it->listed)
        return;
    if (it->previous)
        it->previous->next = it->next;
    else
        h->iterations = it->next;
    if (it->next)
        it->next->previous = it->previous;
    it->listed = false;
}

/* With the lock: a handle that is being finalized takes no more iterations. */
static cs_error_t publish(struct handle *h, struct iteration *it)
{
    if (atomic_load_explicit(&h->finalized, memory_order_acquire) || !handle_acquire(h->value))
        return CS_ERR_BAD_HANDLE;
    it->h = h;
    it->value = table_add(&iteration_table, it, NULL);
    if (it->value == 0) {
        handle_release(h);
        return CS_ERR_NO_MEMORY;
    }
    list_add(h, it);
    return CS_OK;
}

cs_error_t iterate_begin(struct handle *h, cpg_iteration_type_t type, const struct cpg_name *group,
                         cpg_iteration_handle_t *value)
{
    struct iteration *it = NULL;
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    cs_error_t error = ask(h, type, group, &it);
    pthread_setcancelstate(before, NULL);
    if (error != CS_OK)
        return error;
    pthread_mutex_lock(&h->iterate_lock);
    error = publish(h, it);
    if (error == CS_OK)
        *value = it->value;
    pthread_mutex_unlock(&h->iterate_lock);
    if (error != CS_OK)
        free(it);
    return error;
}

static void describe(const struct ctl_iteration_entry *entry,
                     struct cpg_iteration_description_t *description)
{
    uint32_t length = min_u32(entry->name_bytes, CPG_MAX_NAME_LENGTH);
    *description = (struct cpg_iteration_description_t){
        .group.length = length,
        .nodeid = entry->nodeid,
        .pid = entry->pid,
    };
    memcpy(description->group.value, entry->name, length); /* N3: zero behind it */
}

/* The end stays the end, also when several threads walk. */
static cs_error_t step(struct iteration *it, struct cpg_iteration_description_t *description)
{
    if (!handle_alive(it->h))
        return CS_ERR_LIBRARY;
    uint32_t at = atomic_load_explicit(&it->at, memory_order_relaxed);
    do {
        if (at == it->count)
            return CS_ERR_NO_SECTIONS;
    } while (!atomic_compare_exchange_weak_explicit(&it->at, &at, at + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    describe(&it->entry[at], description);
    return CS_OK;
}

cs_error_t iterate_next(cpg_iteration_handle_t value,
                        struct cpg_iteration_description_t *description)
{
    struct iteration *it = table_acquire(&iteration_table, value);
    if (!it)
        return CS_ERR_BAD_HANDLE;
    cs_error_t error = step(it, description);
    if (error == CS_ERR_LIBRARY && atomic_load_explicit(&it->h->finalized, memory_order_acquire))
        error = CS_ERR_BAD_HANDLE;
    table_release(&iteration_table, value);
    return error;
}

cs_error_t iterate_end(cpg_iteration_handle_t value)
{
    struct iteration *it = table_acquire(&iteration_table, value);
    if (!it)
        return CS_ERR_BAD_HANDLE;
    struct handle *h = it->h;
    bool ended = table_retire(&iteration_table, value);
    bool alive = handle_alive(h);
    pthread_mutex_lock(&h->iterate_lock);
    list_remove(h, it);
    pthread_mutex_unlock(&h->iterate_lock);
    table_release(&iteration_table, value);
    if (!ended)
        return CS_ERR_BAD_HANDLE;
    return alive ? CS_OK : CS_ERR_LIBRARY;
}

/* Retiring needs a use. Who else has retired one just now finds it off the list. */
static void end_first(struct handle *h)
{
    struct iteration *it = h->iterations;
    cpg_iteration_handle_t value = it->value;
    list_remove(h, it);
    if (!table_acquire(&iteration_table, value))
        return;
    table_retire(&iteration_table, value);
    table_release(&iteration_table, value);
}

void iterate_end_all(struct handle *h)
{
    pthread_mutex_lock(&h->iterate_lock);
    while (h->iterations)
        end_first(h);
    pthread_mutex_unlock(&h->iterate_lock);
}
