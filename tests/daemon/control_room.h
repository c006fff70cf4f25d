/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TESTS_CONTROL_ROOM_H
#define TESTS_CONTROL_ROOM_H

/*
 * control_room.h - a control thread that runs, with a fake core behind it and a directory of its
 * own, and clients that speak the protocol of ctl.h by hand.
 */

#include "control.h"
#include "fake_core.h"

struct control_room {
    struct config config;
    struct state state;
    struct resources resources;
    struct core core;
    struct control control;
    pthread_t thread;
    int stop_pipe[2];
    char directory[64];
    bool socket_left; /* after the stop */
};

/* Defaults with the directory filled in; change what you like, then start. */
void room_prepare(struct control_room *room);
void room_start(struct control_room *room);
/* Stop cleanly, wait for the thread, and free everything. */
void room_stop(struct control_room *room);
/* The core has formed its first ring, and the control thread has seen it. */
void room_form(struct control_room *room);

struct client {
    int fd;
    int fds[CTL_FDS_MAX]; /* of the last answer */
    int fd_count;
    struct ctl_answer answer;
};

/* Connect; a test that cannot ends. */
void client_connect(struct client *client, const struct control_room *room);
/* Ask and wait for the answer; its error, or -1 when the other end hung up. */
int client_ask(struct client *client, const struct ctl_request *request);
int client_do(struct client *client, enum ctl_type type, uint32_t arg, uint64_t arg64);
void client_send(struct client *client, const struct ctl_request *request);
/* Wait for an answer, or for the end: the error of it, or -1. */
int client_wait(struct client *client);
/* Descriptors of the last answer are closed, too. */
void client_close(struct client *client);
void client_close_fds(struct client *client);

struct ctl_request client_request(enum ctl_type type, uint32_t arg, uint64_t arg64);

#endif
