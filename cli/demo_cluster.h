/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef CLI_DEMO_CLUSTER_H
#define CLI_DEMO_CLUSTER_H

/*
 * demo_cluster.h - the processes and files of a demo, and their end.
 *
 * Node n is a daemon on 127.0.0.n with folders of its own, and a client. All lie in one temporary
 * folder.
 *
 * Knows:      how daemons and clients are started, killed and noticed to have died.
 * Knows not:  what they do, and when.
 * Invariants: P1  when this process ends, in whatever way, its daemons and clients are killed
 *             P2  the folder is removed when this process has ended or closed the cluster, by a
 *                 process that waits for nothing else
 */

#include <stdio.h>
#include <sys/types.h>

#include "demo_board.h"

enum { DEMO_PATH_BYTES = 256, DEMO_WHY_BYTES = 1024 };

struct demo_cluster {
    int nodes;
    uint16_t port;
    uint32_t message_bytes;
    const char *transport;
    char folder[DEMO_PATH_BYTES];
    char daemon_path[DEMO_PATH_BYTES];
    char self_path[DEMO_PATH_BYTES];
    pid_t daemon[DEMO_NODES_MAX + 1]; /* 0: not running */
    pid_t client[DEMO_NODES_MAX + 1];
    pid_t janitor;
    int janitor_pipe; /* its closing tells the janitor to clean up */
    int board_fd;
    struct demo_board *board;
    char why[DEMO_WHY_BYTES]; /* of the last call that failed */
};

/**
 * Make folder, configurations and board. Nothing runs yet but the janitor.
 *
 * Shapes:  nodes, message_bytes and transport are set, the rest is zero
 * Owner:   the caller, demo_cluster_close(), also after an error
 * Errors:  -errno and why
 */
int demo_cluster_open(struct demo_cluster *cluster);

/* Errors: -errno and why */
int demo_cluster_start_daemon(struct demo_cluster *cluster, int node);
int demo_cluster_start_client(struct demo_cluster *cluster, int node);

/* SIGKILL, and wait until it is gone. */
void demo_cluster_kill_daemon(struct demo_cluster *cluster, int node);

/* 0 while everything that was started runs; otherwise -ECHILD and why, with its last words. */
int demo_cluster_look(struct demo_cluster *cluster);

/* Print what every daemon and client said last: when something did not come and nobody died. */
void demo_cluster_print_words(const struct demo_cluster *cluster, FILE *out);

/* Clients were told to quit: wait for them. Errors: -ETIME, -ECHILD and why */
int demo_cluster_join_clients(struct demo_cluster *cluster, uint64_t deadline_ns);

/* SIGTERM to the daemons, as an administrator would. Errors: -ETIME, -ECHILD and why */
int demo_cluster_stop_daemons(struct demo_cluster *cluster, uint64_t deadline_ns);

/* End whatever runs and remove every file. */
void demo_cluster_close(struct demo_cluster *cluster);

void demo_cluster_log_path(const struct demo_cluster *cluster, int node,
                           char path[DEMO_PATH_BYTES]);

#endif
