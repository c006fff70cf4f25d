/* SPDX-License-Identifier: BSD-3-Clause */
#include "request_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "corosync/corotypes.h"
#include "corosync/cpg.h"
#include "status.h"

enum { ENTRIES_AT_FIRST = 256, ENTRIES_MAX = 1 << 20 };

/* A file of these bytes, that nobody can change any more; -errno. */
static int sealed_file(const char *name, const void *bytes, size_t count)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < count;) {
        ssize_t n = write(fd, (const uint8_t *)bytes + done, count - done);
        if (n < 0 && errno != EINTR) {
            int failed = -errno;
            close(fd);
            return failed;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    lseek(fd, 0, SEEK_SET); /* who reads begins at the beginning */
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    return fd;
}

static void answer_file(struct connection *conn, const char *name, const void *bytes, size_t count,
                        uint32_t arg)
{
    struct ctl_answer answer = { .error = CS_OK, .arg = arg, .arg64 = count };
    int fd = count > 0 ? sealed_file(name, bytes, count) : -1;
    if (count > 0 && fd < 0) {
        connection_result(conn, request_error(fd));
        return;
    }
    connection_answer(conn, &answer, &fd, count > 0 ? 1 : 0);
    if (fd >= 0)
        close(fd);
}

/* Ask for the groups' members, into room for so many; false: no memory. */
static bool ask_entries(struct ask *ask, uint32_t capacity)
{
    struct ctl_iteration_entry *entries =
        realloc(ask->entries, capacity * sizeof(struct ctl_iteration_entry));
    if (!entries)
        return false;
    ask->entries = entries;
    ask->command.type = CORE_ITERATE;
    ask->command.in.name = &ask->name;
    ask->command.out.entries = entries;
    ask->command.capacity = capacity;
    ask_give(ask);
    return true;
}

/* More came than there was room for: once more, with some to spare. */
static bool ask_more_entries(struct ask *ask, const struct core_event *answer)
{
    uint32_t there = answer->arg;
    if (answer->error != CS_OK || there <= ask->command.capacity)
        return false;
    if (there > ENTRIES_MAX || !ask_entries(ask, there + there / 4))
        connection_result(ask->connection, CS_ERR_NO_MEMORY);
    return true;
}

static void done_iterate(struct ask *ask, const struct core_event *answer)
{
    if (!ask->connection || ask_more_entries(ask, answer))
        return;
    if (answer->error != CS_OK)
        connection_result(ask->connection, answer->error);
    else
        answer_file(ask->connection, "synchrotron-groups", ask->entries,
                    answer->arg * sizeof(struct ctl_iteration_entry), answer->arg);
}

void request_iterate(struct connection *conn, const struct ctl_request *request)
{
    if (request->arg < CPG_ITERATION_NAME_ONLY || request->arg > CPG_ITERATION_ALL) {
        connection_result(conn, CS_ERR_INVALID_PARAM);
        return;
    }
    struct ask *ask = request_ask(conn, CORE_ITERATE, done_iterate);
    if (!ask)
        return;
    request_set_name(ask, request);
    ask->command.arg = request->arg;
    if (!ask_entries(ask, ENTRIES_AT_FIRST))
        request_give_up(conn, ask);
}

static void done_status_groups(struct ask *ask, const struct core_event *answer)
{
    if (!ask->connection || ask_more_entries(ask, answer))
        return;
    char *text = answer->error == CS_OK
                     ? status_json(ask->control, ask->status, ask->entries, answer->arg)
                     : NULL;
    if (text)
        answer_file(ask->connection, "synchrotron-status", text, strlen(text), 0);
    else
        connection_result(ask->connection, CS_ERR_NO_MEMORY);
    free(text);
}

static void done_status(struct ask *ask, const struct core_event *answer)
{
    if (!ask->connection)
        return;
    ask->done = done_status_groups;
    ask->command.arg = CPG_ITERATION_ALL;
    if (answer->error != CS_OK || !ask_entries(ask, ENTRIES_AT_FIRST))
        connection_result(ask->connection, CS_ERR_NO_MEMORY);
}

void request_status(struct connection *conn)
{
    struct ask *ask = request_ask(conn, CORE_STATUS, done_status);
    if (!ask)
        return;
    ask->status = calloc(1, sizeof(*ask->status));
    if (!ask->status) {
        request_give_up(conn, ask);
        return;
    }
    ask->command.out.status = ask->status;
    ask_give(ask);
}
