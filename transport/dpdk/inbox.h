/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_INBOX_H
#define TRANSPORT_DPDK_INBOX_H

/*
 * inbox.h - memory to receive into for drivers that cannot receive into the arena: nobody but the
 * driver and us ever sees it.
 *
 *   a card    reaches EAL's memory, and no other is registered with it
 *   AF_XDP    wants mbufs and buffers in one piece, and each buffer in a page of its own: pages of
 *             4 KiB do not follow one another, and the kernel drops without a word what lies across
 *             two of them
 *
 * Thread:     control thread
 */

#include "rte.h"

enum dpdk_inbox { DPDK_INBOX_CARD, DPDK_INBOX_PAGES };

/* Owner: the caller, rte_mempool_free(). Errors: -EMSGSIZE no page has room for such a packet;
 * -ENOMEM */
int dpdk_inbox_make(struct rte_mempool **out, uint16_t port, enum dpdk_inbox kind,
                    uint32_t packet_bytes_max);

/* The longest packet a page has room for. */
uint32_t dpdk_inbox_page_most(void);

#endif
