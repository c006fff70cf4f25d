/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <qb/qbloop.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "connection.h"
#include "directory.h"
#include "log.h"

enum { LISTEN_BACKLOG = 512, ACCEPTS_AT_ONCE = 32 };

static int unix_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 ? fd : -errno;
}

static int address_of(struct sockaddr_un *address, const char *path)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

/* Does somebody answer there? A socket file whose daemon was killed refuses connections. */
static bool alive(const char *path)
{
    struct sockaddr_un address;
    int fd = unix_socket();
    if (fd < 0 || address_of(&address, path) != 0)
        return false;
    bool yes = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
    close(fd);
    return yes;
}

/* L1: made beside, then moved to its name. */
static int bind_and_listen(const char *path)
{
    char beside[CONFIG_PATH_BYTES + 64];
    struct sockaddr_un address;
    struct stat st;
    int fd = unix_socket();
    if (fd < 0)
        return fd;
    snprintf(beside, sizeof(beside), "%s.%d", path, (int)getpid());
    int failed = address_of(&address, beside);
    if (failed)
        goto close_socket;
    if (stat(beside, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(beside);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        failed = -errno;
        goto close_socket;
    }
    if (chmod(beside, 0666) != 0 || listen(fd, LISTEN_BACKLOG) != 0 || rename(beside, path) != 0) {
        failed = -errno;
        goto remove_socket;
    }
    return fd;

remove_socket:
    unlink(beside);
close_socket:
    close(fd);
    return failed;
}

static int32_t knocked(int32_t fd, int32_t events, void *context);

static void pause_listening(struct control *c)
{
    c->listener.paused = true;
    qb_loop_poll_del(c->loop, c->listener.fd);
    log_warning("out of descriptors: no new clients until others have gone");
}

/* L3 */
static void accept_with_spare(struct control *c)
{
    close(c->listener.spare_fd);
    c->listener.spare_fd = -1;
    int fd = accept4(c->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        connection_accept(c, fd, true);
    pause_listening(c);
}

static int32_t knocked(int32_t listening, int32_t events, void *context)
{
    struct control *c = context;
    (void)events;
    for (int i = 0; i < ACCEPTS_AT_ONCE && !c->listener.paused; i++) {
        int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            connection_accept(c, fd, false);
        else if ((errno == EMFILE || errno == ENFILE) && c->listener.spare_fd >= 0)
            accept_with_spare(c);
        else
            break;
    }
    connection_sweep(c);
    return 0;
}

void listen_resume(struct control *c)
{
    struct listener *l = &c->listener;
    if (!l->paused || l->fd < 0)
        return;
    if (l->spare_fd < 0)
        l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (l->spare_fd >= 0 && qb_loop_poll_add(c->loop, QB_LOOP_MED, l->fd, POLLIN, c, knocked) == 0)
        l->paused = false;
}

static void socket_path(const struct config *config, char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/%s", config->runtime_dir, CTL_SOCKET_NAME);
}

int listen_check(const struct config *config, char *why, size_t why_bytes)
{
    char path[CONFIG_PATH_BYTES + 32];
    socket_path(config, path, sizeof(path));
    if (!alive(path))
        return 0;
    snprintf(why, why_bytes,
             "a daemon is already running behind %s; stop it, or give this one another "
             "directory: " CTL_RUNTIME_DIR_ENV " or system { runtime_dir: ... }",
             path);
    return -EADDRINUSE;
}

int listen_open(struct control *c, char *why, size_t why_bytes)
{
    struct listener *l = &c->listener;
    struct stat st;
    l->fd = l->spare_fd = -1;
    int failed = directory_make("runtime_dir", c->config->runtime_dir, why, why_bytes);
    if (failed)
        return failed;
    failed = listen_check(c->config, why, why_bytes);
    if (failed)
        return failed;
    socket_path(c->config, l->path, sizeof(l->path));
    l->fd = bind_and_listen(l->path);
    if (l->fd < 0) {
        snprintf(why, why_bytes, "control socket %s: %s", l->path, strerror(-l->fd));
        return l->fd;
    }
    if (stat(l->path, &st) == 0) {
        l->device = st.st_dev;
        l->inode = st.st_ino;
    }
    l->paused = true;
    listen_resume(c);
    if (l->paused) {
        snprintf(why, why_bytes, "control socket %s cannot be waited for", l->path);
        listen_close(c);
        return -EMFILE;
    }
    return 0;
}

void listen_close(struct control *c)
{
    struct listener *l = &c->listener;
    struct stat st;
    if (l->fd < 0)
        return;
    if (!l->paused)
        qb_loop_poll_del(c->loop, l->fd);
    if (stat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode) /* L2 */
        unlink(l->path);
    close(l->fd);
    if (l->spare_fd >= 0)
        close(l->spare_fd);
    l->fd = l->spare_fd = -1;
}
