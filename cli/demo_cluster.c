/* SPDX-License-Identifier: BSD-3-Clause */
#include "demo_cluster.h"

#include "demo_client.h"
#include "demo_janitor.h"
#include "demo_network.h"
#include "zcb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DETECT_MS = 300, /* a demo is short; a busy machine stops a process for less */
    PORT_TRIES = 64,
};

__attribute__((format(printf, 3, 4))) static int failed(struct demo_cluster *cluster, int error,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int used = vsnprintf(cluster->why, sizeof(cluster->why), format, args);
    va_end(args);
    if (error != -ECHILD && used >= 0 && used < DEMO_WHY_BYTES)
        snprintf(cluster->why + used, sizeof(cluster->why) - (size_t)used, ": %s",
                 strerror(-error));
    return error;
}

/* Paths */

__attribute__((format(printf, 2, 3))) static void path_print(char path[DEMO_PATH_BYTES],
                                                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(path, DEMO_PATH_BYTES, format, args);
    va_end(args);
    INVARIANT(bytes > 0 && bytes < DEMO_PATH_BYTES); /* the folder's name was checked */
}

static void node_path(const struct demo_cluster *cluster, int node, const char *name,
                      char path[DEMO_PATH_BYTES])
{
    path_print(path, "%s/node%d/%s", cluster->folder, node, name);
}

void demo_cluster_log_path(const struct demo_cluster *cluster, int node, char path[DEMO_PATH_BYTES])
{
    node_path(cluster, node, "order", path);
}

/* Beside us in a build folder, or where an installation puts it. */
static int find_programs(struct demo_cluster *cluster)
{
    static const char *const places[] = { "../daemon/synchrotrond", "synchrotrond",
                                          "../sbin/synchrotrond" };
    char self[DEMO_PATH_BYTES] = "";
    if (readlink("/proc/self/exe", self, sizeof(self) - 32) < 0)
        return failed(cluster, -errno, "cannot find my own program");
    int folder = (int)(strrchr(self, '/') - self);
    path_print(cluster->self_path, "%s", self);
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        path_print(cluster->daemon_path, "%.*s/%s", folder, self, places[i]);
        if (access(cluster->daemon_path, X_OK) == 0)
            return 0;
    }
    return failed(cluster, -ENOENT, "synchrotrond is not built: it is looked for in %.*s/../daemon",
                  folder, self);
}

static int make_folder(struct demo_cluster *cluster)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || strlen(parent) > DEMO_PATH_BYTES / 4)
        parent = "/tmp"; /* paths of Unix sockets are short */
    path_print(cluster->folder, "%s/synchrotron-XXXXXX", parent);
    if (!mkdtemp(cluster->folder)) {
        int error = -errno;
        cluster->folder[0] = 0;
        return failed(cluster, error, "cannot make a folder in %s", parent);
    }
    int error = demo_janitor_start(cluster->folder, &cluster->janitor, &cluster->janitor_pipe);
    if (error == 0)
        return 0;
    rmdir(cluster->folder);
    return failed(cluster, error, "cannot start the process that cleans up");
}

/* Ports and configurations */

static int bind_udp(int node, uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)node - 1);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

/* One that is free on every address of ours; bound for a moment to see that it is. */
static int port_try(struct demo_cluster *cluster)
{
    int fd[DEMO_NODES_MAX + 1], held = 0, error = 0;
    struct sockaddr_in address;
    socklen_t bytes = sizeof(address);
    fd[1] = bind_udp(1, 0);
    if (fd[1] < 0)
        return fd[1];
    if (getsockname(fd[1], (struct sockaddr *)&address, &bytes) != 0)
        error = -errno;
    uint16_t port = ntohs(address.sin_port);
    for (held = 1; held < cluster->nodes && error == 0; held++) {
        fd[held + 1] = bind_udp(held + 1, port);
        if (fd[held + 1] < 0) {
            error = fd[held + 1];
            break;
        }
    }
    for (int i = 1; i <= held; i++)
        close(fd[i]);
    cluster->port = port;
    return error;
}

static int choose_port(struct demo_cluster *cluster)
{
    int error = -EADDRINUSE;
    for (int i = 0; i < PORT_TRIES && error == -EADDRINUSE; i++)
        error = port_try(cluster);
    return error ? failed(cluster, error, "no free UDP port on 127.0.0.1 and its neighbours") : 0;
}

static void write_config(FILE *file, const struct demo_cluster *cluster, int node)
{
    fprintf(file,
            "totem {\n"
            "    version: 2\n"
            "    cluster_name: demo-%u\n"
            "    nodeid: %d\n"
            "    detect_ms: %d\n"
            "    netmtu: %d\n"
            "}\n",
            cluster->port, node, DETECT_MS, demo_network_mtu(cluster));
    demo_network_write(file, cluster, node);
    fprintf(file, "nodelist {\n");
    for (int n = 1; n <= cluster->nodes; n++)
        fprintf(file, "    node {\n        nodeid: %d\n        ring0_addr: %s%d\n    }\n", n,
                demo_network_prefix(cluster), n);
    fprintf(file,
            "}\n"
            "logging {\n"
            "    to_stderr: yes\n"
            "    to_syslog: no\n"
            "}\n"
            "system {\n"
            "    state_dir: %s/node%d/state\n"
            "    runtime_dir: %s/node%d/run\n"
            "}\n",
            cluster->folder, node, cluster->folder, node);
}

static int make_node(struct demo_cluster *cluster, int node)
{
    static const char *const folders[] = { "", "state", "run" };
    char path[DEMO_PATH_BYTES];
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        node_path(cluster, node, folders[i], path);
        if (mkdir(path, 0700) != 0)
            return failed(cluster, -errno, "cannot make %s", path);
    }
    node_path(cluster, node, "synchrotron.conf", path);
    FILE *file = fopen(path, "wxe");
    if (!file)
        return failed(cluster, -errno, "cannot write %s", path);
    write_config(file, cluster, node);
    bool wrong = ferror(file) != 0;
    if (fclose(file) != 0 || wrong)
        return failed(cluster, errno ? -errno : -EIO, "cannot write %s", path);
    return 0;
}

static int make_board(struct demo_cluster *cluster)
{
    cluster->board_fd = memfd_create("synchrotron-demo", MFD_CLOEXEC);
    if (cluster->board_fd < 0 || ftruncate(cluster->board_fd, sizeof(struct demo_board)) != 0)
        return failed(cluster, -errno, "no memory for the clients' counters");
    void *base = mmap(NULL, sizeof(struct demo_board), PROT_READ | PROT_WRITE, MAP_SHARED,
                      cluster->board_fd, 0);
    if (base == MAP_FAILED)
        return failed(cluster, -errno, "no memory for the clients' counters");
    cluster->board = base;
    return 0;
}

int demo_cluster_open(struct demo_cluster *cluster)
{
    cluster->janitor_pipe = cluster->board_fd = -1;
    int error = find_programs(cluster);
    if (error == 0)
        error = choose_port(cluster);
    if (error == 0)
        error = demo_network_make(cluster);
    if (error == 0)
        error = make_board(cluster);
    if (error == 0)
        error = make_folder(cluster);
    for (int node = 1; node <= cluster->nodes && error == 0; node++)
        error = make_node(cluster, node);
    return error;
}

/* Processes */

struct child {
    const char *const *argv;
    const char *said_path;    /* what it writes goes there */
    const char *runtime_path; /* "" none */
    int keep_fd;              /* -1: none */
};

/* In the child: never returns. The parent's Ctrl-C is not ours, but its death is. */
static void become(const struct child *child, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(child->said_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (getppid() != parent || in < 0 || out < 0)
        _exit(126);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(126);
    if (child->keep_fd >= 0)
        fcntl(child->keep_fd, F_SETFD, 0);
    if (child->runtime_path[0])
        setenv(CTL_RUNTIME_DIR_ENV, child->runtime_path, 1);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(child->argv[0], (char *const *)(uintptr_t)child->argv);
    dprintf(2, "cannot run %s: %s\n", child->argv[0], strerror(errno));
    _exit(127);
}

static int spawn(struct demo_cluster *cluster, const struct child *child, pid_t *pid)
{
    pid_t parent = getpid();
    *pid = fork();
    if (*pid == 0)
        become(child, parent);
    if (*pid > 0)
        return 0;
    *pid = 0;
    return failed(cluster, -errno, "cannot start %s", child->argv[0]);
}

int demo_cluster_start_daemon(struct demo_cluster *cluster, int node)
{
    char config[DEMO_PATH_BYTES], said[DEMO_PATH_BYTES], run[DEMO_PATH_BYTES];
    node_path(cluster, node, "synchrotron.conf", config);
    node_path(cluster, node, "daemon.log", said);
    node_path(cluster, node, "run", run);
    const char *argv[] = { cluster->daemon_path, "-f", "-c", config, NULL };
    struct child child = { argv, said, run, -1 };
    return spawn(cluster, &child, &cluster->daemon[node]);
}

int demo_cluster_start_client(struct demo_cluster *cluster, int node)
{
    char number[16], board[16], bytes[16];
    char log[DEMO_PATH_BYTES], said[DEMO_PATH_BYTES], run[DEMO_PATH_BYTES];
    snprintf(number, sizeof(number), "%d", node);
    snprintf(board, sizeof(board), "%d", cluster->board_fd);
    snprintf(bytes, sizeof(bytes), "%u", cluster->message_bytes);
    demo_cluster_log_path(cluster, node, log);
    node_path(cluster, node, "client.log", said);
    node_path(cluster, node, "run", run);
    const char *argv[] = {
        cluster->self_path, DEMO_CLIENT_COMMAND, number, board, log, bytes, NULL
    };
    struct child child = { argv, said, run, cluster->board_fd };
    return spawn(cluster, &child, &cluster->client[node]);
}

static void kill_process(pid_t *pid)
{
    if (*pid == 0)
        return;
    kill(*pid, SIGKILL);
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
        ;
    *pid = 0;
}

void demo_cluster_kill_daemon(struct demo_cluster *cluster, int node)
{
    kill_process(&cluster->daemon[node]);
}

/* What a process wrote last: the end of its file, in whole lines unless the last one is longer than
 * that, as one text. */
static void last_words(const struct demo_cluster *cluster, int node, const char *name, char *words,
                       size_t room)
{
    char path[DEMO_PATH_BYTES];
    node_path(cluster, node, name, path);
    words[0] = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    bool cut = fseek(file, -(long)(room - 1), SEEK_END) == 0;
    if (!cut)
        rewind(file);
    size_t bytes = fread(words, 1, room - 1, file);
    fclose(file);
    while (bytes > 0 && words[bytes - 1] == '\n')
        bytes--;
    words[bytes] = 0;
    char *second = cut ? strchr(words, '\n') : NULL;
    if (second)
        memmove(words, second + 1, strlen(second));
}

/* Has a process ended that was to go on? */
static int look(struct demo_cluster *cluster, pid_t *pid, int node, const char *what,
                const char *file)
{
    int status;
    if (*pid == 0 || waitpid(*pid, &status, WNOHANG) != *pid)
        return 0;
    char words[DEMO_WHY_BYTES / 2];
    *pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    last_words(cluster, node, file, words, sizeof(words));
    return failed(cluster, -ECHILD, "the %s of node %d ended %s %d%s%s", what, node,
                  WIFSIGNALED(status) ? "by signal" : "with status",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                  words[0] ? ", its last words:\n" : "", words);
}

int demo_cluster_look(struct demo_cluster *cluster)
{
    for (int node = 1; node <= cluster->nodes; node++) {
        int error = look(cluster, &cluster->daemon[node], node, "daemon", "daemon.log");
        if (error == 0)
            error = look(cluster, &cluster->client[node], node, "client", "client.log");
        if (error)
            return error;
    }
    return 0;
}

void demo_cluster_print_words(const struct demo_cluster *cluster, FILE *out)
{
    static const char *const files[] = { "daemon.log", "client.log" };
    char words[DEMO_WHY_BYTES];
    for (int node = 1; node <= cluster->nodes; node++)
        for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
            last_words(cluster, node, files[i], words, sizeof(words));
            if (words[0])
                fprintf(out, "node %d, %s:\n%s\n", node, files[i], words);
        }
}

/* Wait until none of them runs. False: some still do. */
static bool wait_all(const pid_t *pids, int count, uint64_t deadline_ns)
{
    for (int i = 1; i <= count; i++) {
        siginfo_t info;
        while (pids[i] != 0) {
            info.si_pid = 0;
            if (waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
                info.si_pid != 0)
                break;
            if (demo_now_ns() >= deadline_ns)
                return false;
            poll(NULL, 0, 2);
        }
    }
    return true;
}

int demo_cluster_join_clients(struct demo_cluster *cluster, uint64_t deadline_ns)
{
    bool ended = wait_all(cluster->client, cluster->nodes, deadline_ns);
    int error = demo_cluster_look(cluster);
    if (error == 0 && !ended)
        return failed(cluster, -ETIME, "a client does not end");
    return error;
}

int demo_cluster_stop_daemons(struct demo_cluster *cluster, uint64_t deadline_ns)
{
    for (int node = 1; node <= cluster->nodes; node++)
        if (cluster->daemon[node] != 0)
            kill(cluster->daemon[node], SIGTERM);
    bool ended = wait_all(cluster->daemon, cluster->nodes, deadline_ns);
    int error = demo_cluster_look(cluster);
    if (error == 0 && !ended)
        return failed(cluster, -ETIME, "a daemon does not end after SIGTERM");
    return error;
}

void demo_cluster_close(struct demo_cluster *cluster)
{
    for (int node = 1; node <= cluster->nodes; node++) {
        kill_process(&cluster->client[node]);
        kill_process(&cluster->daemon[node]);
    }
    if (cluster->board)
        munmap(cluster->board, sizeof(*cluster->board));
    if (cluster->board_fd >= 0)
        close(cluster->board_fd);
    demo_janitor_end(&cluster->janitor, &cluster->janitor_pipe);
}
