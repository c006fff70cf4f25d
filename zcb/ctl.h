/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef ZCB_CTL_H
#define ZCB_CTL_H

/*
 * ctl.h - the control socket: what a client asks the control thread, and what it answers.
 *
 * One SOCK_SEQPACKET Unix socket a handle, at <runtime dir>/control.sock. A request is one packet,
 * so is its answer; only CTL_KICK has no answer. The kernel's credentials of each packet
 * (SCM_CREDENTIALS) name the asking process. Descriptors ride on answers.
 *
 * Knows:      packet layouts and limits.
 * Invariants: K1  requests of one handle are answered in order, one at a time
 *             K2  an answer's `error` is a cs_error_t; descriptors come only with CS_OK
 */

#include "channel.h"
#include "synchrotron/types.h"

#define CTL_SOCKET_NAME         "control.sock"
#define CTL_RUNTIME_DIR_ENV     "SYNCHROTRON_RUNTIME_DIR"
#define CTL_RUNTIME_DIR_DEFAULT "/run/synchrotron"

enum {
    CTL_MAGIC = 0x43544c31, /* "CTL1" */
    CTL_VERSION = 1,
    CTL_NAME_BYTES = 128,
    CTL_MEMBERS_MAX = 128,
    CTL_FDS_MAX = 6,
    CTL_DIRECTORY_BYTES = 108, /* more does not fit the address of a socket */
};

enum ctl_type {
    CTL_HELLO = 1, /* -> ctl_hello; fds: up, down, core, rx arena, wake socket */
    CTL_JOIN = 2,  /* name */
    CTL_LEAVE = 3,
    CTL_MEMBERS = 4,  /* name -> ctl_members */
    CTL_ITERATE = 5,  /* name, arg = cpg_iteration_type_t -> arg = entry count, arg64 = bytes; fd: a
                         memfd of struct ctl_iteration_entry[], none when empty */
    CTL_TX_GET = 6,   /* arg64 = bytes wanted, arg = CTL_TX_STAYS or 0 -> arg = segment index,
                         arg64 = bytes got, arena id, flags = CTL_TX_LENT or 0;
                         fd: the TX arena */
    CTL_TX_PUT = 7,   /* arg = segment index: not needed any more; freed when drained */
    CTL_MAP = 8,      /* arg = arena id -> arg64 = bytes; fd: the arena, to be mapped read-only */
    CTL_FINALIZE = 9, /* end the connection; messages accepted before still go out */
    CTL_KICK = 10,    /* send one byte on the wake socket; no answer */
    CTL_STATUS = 11,  /* -> arg64 = bytes; fd: a memfd with one JSON object */
    CTL_CAPTURE = 12, /* of an admin; arg = bytes to keep of each frame, 0: all -> arg64 = bytes;
                         fd: an arena with a tape (tape.h), written until the connection ends.
                         CS_ERR_ACCESS: neither root nor the daemon's own user asks; CS_ERR_BUSY:
                         another captures, arg = its pid */
};

struct ctl_request {
    uint32_t magic;
    uint16_t version;
    uint16_t type; /* enum ctl_type */
    uint32_t arg;
    uint32_t name_bytes; /* <= CTL_NAME_BYTES */
    uint64_t arg64;
    uint8_t name[CTL_NAME_BYTES];
};

enum { CTL_HELLO_FIRST_RING = 1 << 0 }; /* CTL_HELLO arg: CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF */
enum { CTL_HELLO_WANT_RINGS = 1 << 1 }; /* CTL_HELLO arg: the handle has a ring callback */
enum { CTL_HELLO_ADMIN = 1 << 2 }; /* CTL_HELLO arg: to look on: no channel and no descriptors */

enum { CTL_TX_STAYS = 1 << 0 }; /* CTL_TX_GET arg: kept for good, so less may be given */
enum { CTL_TX_LENT = 1 << 0 }; /* its answer: to be given back as soon as nothing in it is in use */

struct ctl_hello {
    uint32_t nodeid;
    uint32_t rx_arena; /* arena id */
    uint64_t rx_bytes;
    uint32_t message_bytes_max;
    uint32_t atomic_bytes_max;
};

struct ctl_members {
    uint32_t count; /* of all; entries holds the first CTL_MEMBERS_MAX */
    uint32_t zero;
    struct chan_address entry[CTL_MEMBERS_MAX];
};

struct ctl_iteration_entry {
    uint32_t name_bytes;
    uint8_t name[CTL_NAME_BYTES];
    uint32_t nodeid;
    uint32_t pid;
};

struct ctl_answer {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t error; /* cs_error_t */
    uint32_t arg;
    uint64_t arg64;
    uint32_t arena;
    uint32_t flags;
    union {
        struct ctl_hello hello;
        struct ctl_members members;
    };
};

static_assert(sizeof(struct ctl_request) == 152, "shared layout");
static_assert(sizeof(struct ctl_iteration_entry) == 140, "shared layout");
static_assert(sizeof(struct ctl_answer) == 1576, "shared layout");

/**
 * Send one packet, with descriptors, or receive one, on a connected SEQPACKET socket.
 *
 * Shapes:  fd_count <= CTL_FDS_MAX. Receive: *fd_count is in: room, out: got; got descriptors are
 *          close-on-exec and the caller's; surplus ones are closed. *pid is the kernel's word of
 *          who sent it, 0 when the socket does not pass credentials
 * Errors:  bytes sent or received (0: the other end is gone) or -errno; -EPROTO truncated packet:
 *          nothing of it is left, no descriptor either
 */
int ctl_send(int socket, const void *packet, size_t bytes, const int *fds, int fd_count);
int ctl_recv(int socket, void *packet, size_t bytes, int *fds, int *fd_count, uint32_t *pid);

/**
 * A connection to the daemon of this runtime directory.
 *
 * Units:   patience_s bounds each wait for the daemon, here and later; 0: nothing does
 * Owner:   the caller, close()
 * Errors:  -ENOENT nobody listens there; -EAGAIN nobody answered in time; -errno
 */
int ctl_connect(const char *directory, int patience_s);

/**
 * The same where the directory is that of SYNCHROTRON_RUNTIME_DIR; or else the first of these where
 * somebody listens: /run/synchrotron, $XDG_RUNTIME_DIR/synchrotron, /tmp/synchrotron-<uid>.
 *
 * directory is the one that was asked, empty when none was chosen and nobody listens in any.
 *
 * Errors:  those of ctl_connect(); -EACCES, too, when another user made the last of the three
 */
int ctl_find(char directory[CTL_DIRECTORY_BYTES], int patience_s);

#endif
