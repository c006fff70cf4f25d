/* SPDX-License-Identifier: BSD-3-Clause */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "directory.h"

enum { STATE_TEXT_BYTES = 256 };

/* Notices a file that was edited by hand or came back torn from a file system without order. */
static uint32_t check_sum(uint64_t ring_seq, uint64_t starts)
{
    uint64_t x = ring_seq * UINT64_C(0x9e3779b97f4a7c15) ^ starts * UINT64_C(0xc2b2ae3d27d4eb4f);
    return (uint32_t)(x ^ x >> 32);
}

int state_format(const struct state *state, char *text, size_t bytes)
{
    return snprintf(text, bytes,
                    "synchrotron state 1\nring_seq %" PRIu64 "\nstarts %" PRIu64 "\ncheck %08x\n",
                    state->ring_seq, state->starts, check_sum(state->ring_seq, state->starts));
}

bool state_parse(struct state *state, const char *text, size_t bytes)
{
    char copy[STATE_TEXT_BYTES], again[STATE_TEXT_BYTES];
    struct state read = *state;
    uint32_t sum;
    if (bytes == 0 || bytes >= sizeof(copy))
        return false;
    memcpy(copy, text, bytes);
    copy[bytes] = 0;
    if (sscanf(copy, "synchrotron state 1\nring_seq %20" SCNu64 "\nstarts %20" SCNu64 "\ncheck %8x",
               &read.ring_seq, &read.starts, &sum) != 3)
        return false;
    state_format(&read, again, sizeof(again));
    if (strlen(copy) != bytes || strcmp(copy, again) != 0) /* written exactly so, or not by us */
        return false;
    state->ring_seq = read.ring_seq;
    state->starts = read.starts;
    return true;
}

static int write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            bytes -= (size_t)n;
        }
    }
    return 0;
}

static int replace(const struct state *state, int directory, const char *text)
{
    int fd = openat(directory, state->name_new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int failed = write_all(fd, text, strlen(text));
    if (!failed && fsync(fd) != 0)
        failed = -errno;
    if (close(fd) != 0 && !failed)
        failed = -errno;
    if (!failed && renameat(directory, state->name_new, directory, state->name) != 0)
        failed = -errno;
    if (failed)
        unlinkat(directory, state->name_new, 0);
    else if (fsync(directory) != 0)
        failed = -errno;
    return failed;
}

/* S3: a directory and a file in it take two. */
static void spare_descriptors(struct state *state)
{
    for (size_t i = 0; i < ARRAY_COUNT(state->spare_fd); i++)
        if (state->spare_fd[i] <= 0)
            state->spare_fd[i] = fcntl(state->lock_fd, F_DUPFD_CLOEXEC, 0);
}

static void use_descriptors(struct state *state)
{
    for (size_t i = 0; i < ARRAY_COUNT(state->spare_fd); i++) {
        if (state->spare_fd[i] > 0)
            close(state->spare_fd[i]);
        state->spare_fd[i] = -1;
    }
}

static int save(struct state *state)
{
    char text[STATE_TEXT_BYTES];
    use_descriptors(state);
    int directory = open(state->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = directory < 0 ? -errno : 0;
    state_format(state, text, sizeof(text));
    if (!failed)
        failed = replace(state, directory, text);
    if (directory >= 0)
        close(directory);
    spare_descriptors(state);
    state->failing = -failed;
    return failed;
}

int state_reserve(struct state *state, uint64_t ring_seq)
{
    if (ring_seq <= state->ring_seq && !state->failing)
        return 0;
    state->ring_seq = max_u64(state->ring_seq, ring_seq);
    return save(state);
}

static int load(struct state *state, char *why, size_t why_bytes)
{
    char text[STATE_TEXT_BYTES], path[CONFIG_PATH_BYTES + 64];
    snprintf(path, sizeof(path), "%s/%s", state->directory, state->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int failed = bytes < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (failed)
        snprintf(why, why_bytes, "state file %s cannot be read: %s", path, strerror(-failed));
    else if (!state_parse(state, text, (size_t)bytes)) {
        snprintf(why, why_bytes,
                 "state file %s is damaged; remove it only after the whole cluster has stopped",
                 path);
        failed = -EINVAL;
    }
    return failed;
}

static void explain_unwritable(const struct state *state, int failed, char *why, size_t why_bytes)
{
    snprintf(why, why_bytes,
             "state directory %s cannot be written: %s; give it to user %u, or name another: "
             "system { state_dir: ... }",
             state->directory, strerror(-failed), (unsigned)geteuid());
}

static int lock(struct state *state, const struct config *config, char *why, size_t why_bytes)
{
    char path[CONFIG_PATH_BYTES + 64];
    snprintf(path, sizeof(path), "%s/%s.lock", state->directory, state->name);
    state->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock_fd < 0) {
        int failed = -errno;
        explain_unwritable(state, failed, why, why_bytes);
        return failed;
    }
    if (flock(state->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    snprintf(why, why_bytes,
             "a daemon is already running as node %u of this cluster: %s is locked; stop it, or "
             "give this one another system { state_dir: ... }",
             config->node_id, path);
    close(state->lock_fd);
    return -EADDRINUSE;
}

void state_close(struct state *state)
{
    use_descriptors(state);
    close(state->lock_fd);
}

static int count_start(struct state *state, char *why, size_t why_bytes)
{
    int failed = load(state, why, why_bytes);
    if (failed)
        return failed;
    state->starts++;
    failed = save(state);
    if (!failed || failed == -ENOSPC || failed == -EDQUOT)
        return 0;
    explain_unwritable(state, failed, why, why_bytes);
    return failed;
}

int state_open(struct state *state, const struct config *config, char *why, size_t why_bytes)
{
    uint32_t random = 0;
    *state = (struct state){ 0 };
    snprintf(state->directory, sizeof(state->directory), "%s", config->state_dir);
    snprintf(state->name, sizeof(state->name), "ring-%08x-%u", config->cluster_tag,
             config->node_id);
    snprintf(state->name_new, sizeof(state->name_new), "%s.new", state->name);
    int failed = directory_make("state_dir", state->directory, why, why_bytes);
    if (failed)
        return failed;
    failed = lock(state, config, why, why_bytes);
    if (failed)
        return failed;
    failed = count_start(state, why, why_bytes);
    if (failed) {
        state_close(state);
        return failed;
    }
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        random = (uint32_t)getpid();
    state->incarnation = state->starts << 32 | random;
    return 0;
}
