/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_BELL_H
#define TRANSPORT_DPDK_BELL_H

/*
 * bell.h - nodes on one machine wake each other: memif's driver takes no interrupts.
 *
 * Each node has two files where memif's sockets are: a page that says whether it sleeps, which the
 * others map, and a socket to wake it by. Who has put packets into a ring looks at the page of the
 * one behind it; a system call is made for a sleeper only, and one for each time it sleeps.
 *
 * Knows:      who sleeps.
 * Knows not:  rings, packets, ports.
 * Invariants: G1  what was put into a ring before bell_look(), and was not seen there after
 *                 bell_sleep(), makes the sleeper's descriptor readable: no wake-up is lost
 *             G2  a node that looks at nothing but memory calls nobody: bell_look() makes no system
 *                 call while the other is awake, or has been woken by somebody already
 *             G3  a node that was killed, or begins anew, leaves nothing that stops others, and no
 *                 file that has to be removed
 * Thread:     open and close: control thread. All others: poll core.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "dpdk_config.h"

enum { BELL_PATH_BYTES = DPDK_PATH_BYTES + 24, BELL_PAGE_BYTES = 4096 };

/* The page. Nobody believes it: it only decides whether somebody is woken. */
struct bell_page {
    _Atomic uint32_t asleep;
};

/* Our own. */
struct bell {
    struct bell_page *page; /* NULL: none */
    int fd;                 /* to sleep on */
    char page_path[BELL_PATH_BYTES], socket_path[BELL_PATH_BYTES];
};

/* Another node's. */
struct bell_other {
    struct bell_page *page; /* NULL: not met */
    char page_path[BELL_PATH_BYTES];
    struct sockaddr_un address;
};

/* Errors: -errno, and there is no bell */
int bell_open(struct bell *bell, const char *directory, uint32_t node_id);
void bell_close(struct bell *bell);

/* From now on who has something for us wakes us, until bell_wake(): look at the rings once more,
 * then sleep on `fd`. */
void bell_sleep(struct bell *bell);
void bell_wake(struct bell *bell);

void bell_other_name(struct bell_other *other, const char *directory, uint32_t node_id);
/* A link to it is up: find its page. False: it has none, and cannot be woken. */
bool bell_meet(struct bell_other *other);
void bell_part(struct bell_other *other);

/* The slow half of bell_look(). */
void bell_ring(const struct bell *ours, struct bell_other *other);

/* The thread sanitizer knows no fences; two read-modify-writes of one word order as well. */
static inline void bell_fence(struct bell_page *page)
{
#ifdef __SANITIZE_THREAD__
    atomic_fetch_add_explicit(&page->asleep, 0, memory_order_seq_cst);
#else
    (void)page;
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Something was put into a ring to the other. */
static inline void bell_look(const struct bell *ours, struct bell_other *other)
{
    if (!other->page)
        return;
    bell_fence(other->page); /* G1: pairs with the one in bell_sleep() */
    if (__builtin_expect(atomic_load_explicit(&other->page->asleep, memory_order_relaxed), 0))
        bell_ring(ours, other);
}

#endif
