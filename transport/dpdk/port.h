/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TRANSPORT_DPDK_PORT_H
#define TRANSPORT_DPDK_PORT_H

/*
 * port.h - one ethdev port: made, configured, started, and what it can and cannot do.
 *
 * Knows:      drivers by name and their peculiarities.
 * Knows not:  what packets say, nodes.
 * Thread:     open and close: control thread. All others: poll core.
 */

#include <stdatomic.h>
#include <stddef.h>

#include "areas.h"
#include "bell.h"
#include "headers.h"
#include "interface.h"
#include "rte.h"
#include "transport.h"

enum {
    DPDK_PORTS_MAX = NODE_COUNT_MAX,
    DPDK_DESCRIPTORS = 1024,
    DPDK_PENDING_MAX = 256, /* packets that wait for room in a port */
    DPDK_GROUPS_MAX = 8,
};

enum dpdk_kind { DPDK_MEMIF, DPDK_AF_PACKET, DPDK_AF_XDP, DPDK_PCI, DPDK_VDEV };

struct dpdk_port_config {
    enum dpdk_kind kind;
    bool client;             /* memif */
    const struct bell *bell; /* memif: ours, and the directory and node of the other one */
    const char *directory;
    uint32_t other;
    const char *said;           /* the configuration's word for it */
    char name[DPDK_PORT_BYTES]; /* EAL's, or a PCI address */
    char arguments[DPDK_PORT_BYTES];
    struct rte_mempool *frames; /* to receive into, */
    struct zcb_arena *arena;    /* where they lie, */
    struct dpdk_areas *areas;   /* and what a card is told of it */
    uint32_t packet_bytes_max;
    uint32_t mtu;       /* of IP */
    unsigned interface; /* af_packet, af_xdp: index of the kernel's */
};

/* Why payload is copied. */
enum dpdk_copy {
    DPDK_COPY_NOT,
    DPDK_COPY_TX_LINEAR,    /* the port takes a packet in one piece */
    DPDK_COPY_TX_PIECES,    /* it takes not so many pieces */
    DPDK_COPY_TX_SUMMED,    /* UDP's checksum is made here */
    DPDK_COPY_TX_UNREACHED, /* the card does not reach the memory */
    DPDK_COPY_TX_KEPT,      /* the driver keeps what it has sent until it sends more */
    DPDK_COPY_RX_DRIVER,    /* the driver receives into memory of its own */
    DPDK_COPY_RX_CUT,       /* the packet came in several buffers */
    DPDK_COPY_RX_MOVED,     /* the driver put it elsewhere than it was told */
    DPDK_COPIES,
};

/* How a driver lets go of what it has sent. */
enum dpdk_returns {
    DPDK_RETURNS_ITSELF, /* in its burst, as it copies; or when it sends more */
    DPDK_RETURNS_ASKED,  /* rte_eth_tx_done_cleanup() */
    DPDK_RETURNS_SEEN,   /* when it sends more, but it can be seen when all has been sent */
};

/* Of a memif client that begins anew, in another thread. */
enum dpdk_again { DPDK_SETTLED, DPDK_BEGINS, DPDK_BEGUN, DPDK_NOBODY_THERE };

struct dpdk_port {
    uint16_t id;
    enum dpdk_kind kind;
    char name[DPDK_PORT_BYTES];
    struct rte_device *device;
    struct dpdk_areas *areas;
    _Atomic bool taken_away; /* unplug.h: it is to go, */
    bool gone;               /* and has been closed */
    bool started;
    bool up;     /* as last seen */
    bool client; /* memif: it is we who connect */
    uint16_t handshake_looks;
    _Atomic int again; /* memif: enum dpdk_again */
    const struct bell *bell;
    struct bell_other other; /* memif: the node behind it */
    uint32_t losses_seen;
    enum dpdk_copy tx_copy; /* why all that is sent is copied: DPDK_COPY_NOT, it is not */
    char why_copied[DPDK_PORT_BYTES + 200]; /* "", or that in a line */
    uint16_t pieces_most;                   /* of a packet */
    bool by_page;                           /* a card: wants no piece to lie in two pages */
    bool picky;                             /* a card: reaches memory that has a key */
    enum dpdk_returns returns;
    uint16_t tx_descriptors;
    uint64_t asked_ns;         /* when it was last asked for what it has sent */
    bool one_peer;             /* a link with one node behind it */
    bool own_memory;           /* receives into `inbox`, not into the arena */
    bool sums;                 /* puts UDP checksums in */
    bool interrupts;           /* tells of packets that come, when it is asked to */
    uint64_t interrupt_gap_ns; /* and holds the next one back for so long */
    struct rte_mempool *inbox;
    struct dpdk_interface interface;
    bool unsent; /* the driver has packets in its ring that the kernel did not take yet */
    uint16_t stuck_looks, down_looks;
    uint64_t sent, sent_seen; /* packets the driver took, and had at the last look */
    struct mac mac;
    uint16_t pending_count, pending_first;
    uint64_t dropped; /* D3 */
    struct rte_mbuf *pending[DPDK_PENDING_MAX];
};

/* Errors: -errno, and `why` is one line: cause, and what to do */
int dpdk_port_open(struct dpdk_port *port, const struct dpdk_port_config *config, char *why,
                   size_t why_bytes);
void dpdk_port_close(struct dpdk_port *port);

/* Let packets to these group MACs in, where something filters them; that ends with the port. */
void dpdk_port_hear(struct dpdk_port *port, const struct mac *list, int count);

/* Ask for receive interrupts, or for none any more. False: it has none to give. */
bool dpdk_port_interrupts(struct dpdk_port *port, bool wanted);

/* Look at the link, give up what a driver does not take, and for memif try to make it. */
bool dpdk_port_look(struct dpdk_port *port);

/* A card without a link sends nothing, and keeps what it was given. Has it been down for a while?
 */
bool dpdk_port_keeps(const struct dpdk_port *port);
/* Take it back: the port begins anew, and has forgotten which groups it hears. */
void dpdk_port_empty(struct dpdk_port *port);

/* DPDK_RETURNS_SEEN: nothing that was given to it will be read any more. */
bool dpdk_port_all_sent(const struct dpdk_port *port);

/* Packets to and from the driver. */
uint16_t dpdk_port_rx(struct dpdk_port *port, struct rte_mbuf **mbufs, uint16_t count);
/* Offer what is pending. Link down: it is dropped. */
void dpdk_port_flush(struct dpdk_port *port);

#endif
